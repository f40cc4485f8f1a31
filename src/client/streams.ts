/**
 * The command's three streams, between ours and the channels of whatever connection there is: each byte is
 * handed over once, however often the connection breaks.
 */
import type { Writable } from 'node:stream';
import { RmtxError, systemErrorCode } from '../errors.js';
import { CHANNEL } from '../protocol/messages.js';
import { drained } from '../util/drained.js';
import { orAborted } from '../util/or-aborted.js';
import type { HostConnection } from './connect.js';
import { InputFlow } from './input-flow.js';
import type { RunSinks } from './run-events.js';

export type OutputName = 'stdout' | 'stderr';

/** By stream, a number of bytes. */
export type OutputOffsets = Readonly<Record<OutputName, number>>;

export interface RunStreamsOptions {
  readonly sinks: RunSinks;
  /** Where the output begins here. */
  readonly offsets: OutputOffsets;
  /** Told how far the output has been handed over for good. */
  readonly onHandedOver?: (offsets: OutputOffsets) => void;
}

export class RunStreams {
  readonly #stdout: OutputFlow;
  readonly #stderr: OutputFlow;
  readonly #input: InputFlow | undefined;

  constructor({ sinks, offsets, onHandedOver }: RunStreamsOptions) {
    const flow = (name: OutputName): OutputFlow =>
      new OutputFlow({
        name,
        offset: offsets[name],
        target: sinks[name] ?? eventsOf(name, sinks),
        onHandedOver: () =>
          onHandedOver?.({ stdout: this.#stdout.handedOver, stderr: this.#stderr.handedOver }),
      });
    this.#stdout = flow('stdout');
    this.#stderr = flow('stderr');
    this.#input = sinks.stdin === undefined ? undefined : new InputFlow(sinks.stdin);
  }

  /** What the next connection has to begin with. */
  get offsets(): OutputOffsets {
    return { stdout: this.#stdout.offset, stderr: this.#stderr.offset };
  }

  /** The host has nothing before these; gives how many bytes are missing of each. */
  skipTo(offsets: OutputOffsets): OutputOffsets {
    return {
      stdout: this.#stdout.skipTo(offsets.stdout),
      stderr: this.#stderr.skipTo(offsets.stderr),
    };
  }

  /**
   * Takes both output streams to their ends. Rejects where the connection breaks before; nothing of it is
   * used any more then.
   */
  async receive(host: HostConnection): Promise<void> {
    const both = [this.#stdout.receive(host), this.#stderr.receive(host)];
    // Both have let go of the connection before it is anybody else's turn.
    await Promise.allSettled(both);
    await Promise.all(both);
  }

  /** Resolves when the operating system has everything that came. */
  async flushed(): Promise<void> {
    await Promise.all([this.#stdout.flushed(), this.#stderr.flushed()]);
  }

  /** Sends our stdin from this offset on. Throws BAD_MESSAGE where it is gone already. */
  send(host: HostConnection, offset: number): void {
    this.#input?.send(host, offset);
  }

  /** Nobody takes our stdin any more: it is let go, so that it holds nobody up. */
  endInput(): void {
    this.#input?.end();
  }
}

/** Takes pieces of output; a promise means "not more, until it resolves". */
type Take = (piece: Buffer, offset: number) => void | Promise<void>;

interface OutputFlowOptions {
  readonly name: OutputName;
  readonly offset: number;
  readonly target: Writable | Take;
  readonly onHandedOver: () => void;
}

class OutputFlow {
  readonly #options: OutputFlowOptions;
  /** The next byte that is wanted from the host. */
  offset: number;
  /** What has left this process. */
  handedOver: number;
  /** Whoever read our stream has gone. */
  readonly #closed = new AbortController();
  /** What we write to takes nothing any more, though nobody closed it: a full disk, a file size limit. */
  #failure: RmtxError | undefined;
  /** Resolves when more may be taken; kept from one connection to the next. */
  #room: Promise<void> | undefined;

  constructor(options: OutputFlowOptions) {
    this.#options = options;
    this.offset = options.offset;
    this.handedOver = options.offset;
    const { target } = options;
    // It stays: a late EPIPE of a stream that nobody listens to would end the process.
    if (typeof target === 'function') return;
    // Our own stdout and stderr have a listener that ends the process, and knows no way back to the run.
    target.removeAllListeners('error');
    target.on('error', (error) => {
      if (isReaderGone(error)) this.#closed.abort();
      else this.#failure ??= this.#explain(error);
    });
  }

  skipTo(offset: number): number {
    const missing = Math.max(0, offset - this.offset);
    this.offset = offset;
    return missing;
  }

  /**
   * Takes everything that comes, never faster than it can be handed over. A reader of ours that has gone
   * makes the command see a closed pipe. Rejects with OUTPUT_FAILED where it cannot be written: the command
   * goes on then, and its output waits.
   */
  async receive(host: HostConnection): Promise<void> {
    const channel = host.connection.openReceive(CHANNEL[this.#options.name]);
    const close = (): void => channel.cancel();
    const { signal: closed } = this.#closed;
    if (closed.aborted) close();
    closed.addEventListener('abort', close, { once: true });
    try {
      await this.#untilRoom(host);
      for await (const piece of channel) {
        if (closed.aborted) return;
        this.#take(piece);
        // What came and is not taken when the connection breaks is sent again.
        if (this.#room !== undefined) await this.#untilRoom(host);
      }
    } finally {
      closed.removeEventListener('abort', close);
    }
  }

  async flushed(): Promise<void> {
    const { target } = this.#options;
    this.#throwFailure();
    if (typeof target === 'function' || target.destroyed || this.#closed.signal.aborted) return;
    // Even an empty write fails at /dev/full, and a command that says nothing must not.
    if (this.handedOver === this.offset) return;
    await new Promise<void>((resolve) => {
      target.write('', () => resolve());
      target.once('close', resolve);
    });
    // It became known while we waited.
    this.#throwFailure();
  }

  #take(piece: Buffer): void {
    const { target, onHandedOver } = this.#options;
    this.#throwFailure();
    const at = this.offset;
    this.offset += piece.length;
    const isOver = this.offset;
    const done = (): void => {
      this.handedOver = isOver;
      onHandedOver();
    };
    if (typeof target === 'function') {
      const taken = target(piece, at);
      done();
      this.#room = taken ?? undefined;
      return;
    }
    let hasRoom: boolean;
    try {
      hasRoom = target.write(piece, (error) => {
        if (!error) done();
      });
    } catch (error) {
      // Some versions of Node write to a file at once, and throw what fails.
      throw this.#explain(error);
    }
    if (!hasRoom) this.#room = drained(target);
  }

  #explain(error: unknown): RmtxError {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `the command's ${this.#options.name} cannot be written: ${reason}`;
    return new RmtxError('ERR_RMTX_OUTPUT_FAILED', message, { cause: error });
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Rejects where the connection breaks before there is room. */
  async #untilRoom(host: HostConnection): Promise<void> {
    if (this.#room === undefined) return;
    const hasRoom = await orAborted(
      this.#room.then(() => true),
      host.lost,
    );
    if (hasRoom !== true) await host.inbox.ended;
    this.#room = undefined;
  }
}

/** EIO: of a terminal that is gone; EOF: of a pipe on Windows. */
function isReaderGone(error: unknown): boolean {
  return ['EPIPE', 'EIO', 'ECONNRESET', 'EOF'].includes(systemErrorCode(error) ?? '');
}

function eventsOf(stream: OutputName, sinks: RunSinks): Take {
  return (bytes, offset) => sinks.onEvent({ type: 'output', stream, offset, bytes });
}
