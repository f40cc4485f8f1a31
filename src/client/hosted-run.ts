/**
 * A run at the host, from its start on, whatever becomes of the connection: work on a connection that
 * breaks is done again on the next one, which comes back to the run where this side has got to.
 */
import { isRmtxError } from '../errors.js';
import type {
  ClientMessage,
  AttachMode,
  ForwardedSignal,
  TerminalSize,
} from '../protocol/messages.js';
import { isConnectionLoss } from './connect.js';
import type { HostConnection } from './connect.js';
import type { Forwards } from './forwards.js';
import type { HostLink } from './host-link.js';
import type { InterruptHandlers } from './interrupts.js';
import type { OutputOffsets, RunStreams } from './streams.js';
import { Visit } from './visit.js';
import type { Attached } from './visit.js';

export interface HostedRunOptions {
  readonly link: HostLink;
  readonly runId: string;
  readonly streams: RunStreams | undefined;
  /** Carried over each connection. */
  readonly forwards: Forwards | undefined;
  /** Told how much output the host had dropped when it was asked for. */
  readonly onDropped: (missing: OutputOffsets) => void;
  /** Opens the run once more, where the host turns out never to have had it whole. */
  readonly openAgain?: () => Promise<HostConnection>;
}

export class HostedRun {
  readonly #options: HostedRunOptions;
  #visit: Visit | undefined;
  /** The command has started, as far as we know. */
  #hasBegun = false;
  #stop: 'none' | 'asked' | 'forced' = 'none';
  #lastSignal: ForwardedSignal | undefined;
  #lastSize: TerminalSize | undefined;
  #hasSaidSettled = false;
  #mayBePutBack = false;

  private constructor(options: HostedRunOptions) {
    this.#options = options;
  }

  /** The run that was just started on this connection. */
  static started(host: HostConnection, options: HostedRunOptions): HostedRun {
    const run = new HostedRun(options);
    run.#begin(host, undefined);
    return run;
  }

  /** A run that exists. Rejects with RUN_NOT_FOUND, and as {@link HostLink.connect} does. */
  static async attach(options: HostedRunOptions): Promise<{
    readonly run: HostedRun;
    readonly host: HostConnection;
    readonly attached: Attached;
  }> {
    const run = new HostedRun(options);
    return { run, ...(await run.#attach('visit')) };
  }

  get id(): string {
    return this.#options.runId;
  }

  /** The host may have put the workspace back before it heard of us: what was agreed on before still counts. */
  get mayBePutBack(): boolean {
    return this.#mayBePutBack;
  }

  /**
   * What `work` resolves to, on the first connection that holds out that long. It is called once more for
   * each connection that breaks under it; other errors end it. One call at a time.
   */
  async during<T>(work: (visit: Visit) => Promise<T>): Promise<T> {
    for (;;) {
      const visit = this.#visit ?? (await this.#resume());
      try {
        return await work(visit);
      } catch (error) {
        if (!isConnectionLoss(error)) throw error;
        this.#visit = undefined;
        visit.host.connection.destroy();
        await visit.left();
      }
    }
  }

  /** Asks the command to end, or ends it; said again on each connection until one carries it. */
  stop(isForced: boolean): void {
    if (this.#stop !== 'forced') this.#stop = isForced ? 'forced' : 'asked';
    this.#say({ type: 'stop', isForced });
  }

  /** Passes a signal on to the command; lost where there is no connection, but for whether it is stopped. */
  signal(name: ForwardedSignal): void {
    if (name === 'SIGTSTP' || name === 'SIGCONT') this.#lastSignal = name;
    this.#say({ type: 'signal', name });
  }

  /** The window of whoever looks at the command's terminal; said again on each connection. */
  resize(size: TerminalSize): void {
    this.#lastSize = size;
    this.#say({ type: 'resize', ...size });
  }

  /**
   * Tells the host what became of the results. A host that turns out to be done with the run has heard it,
   * though its answer was lost.
   */
  async settle(type: 'applied' | 'discard'): Promise<void> {
    try {
      await this.during(async (visit) => {
        if (visit.isOver) return;
        await visit.announcement();
        this.#hasSaidSettled = true;
        await visit.settle(type);
      });
    } catch (error) {
      const isForgotten = isRmtxError(error) && error.code === 'ERR_RMTX_RUN_NOT_FOUND';
      if (!isForgotten || !this.#hasSaidSettled) throw error;
    }
  }

  async #resume(): Promise<Visit> {
    try {
      await this.#attach('resume');
    } catch (error) {
      const isUnknown = isRmtxError(error) && error.code === 'ERR_RMTX_RUN_NOT_FOUND';
      const { openAgain } = this.#options;
      if (!isUnknown || this.#hasBegun || openAgain === undefined) throw error;
      this.#begin(await openAgain(), undefined);
    }
    if (this.#visit === undefined) throw new Error('Internal error: there is no visit');
    return this.#visit;
  }

  async #attach(
    mode: Exclude<AttachMode, 'watch'>,
  ): Promise<{ host: HostConnection; attached: Attached }> {
    const { link, runId, streams } = this.#options;
    const { host, answer: attached } = await link.connect(async (connected) => {
      const { stdout = 0, stderr = 0 } = streams?.offsets ?? {};
      connected.send({
        type: 'run_attach',
        runId,
        mode,
        stdoutOffset: stdout,
        stderrOffset: stderr,
        tail: false,
      });
      await connected.welcome;
      return connected.inbox.next('run_attached');
    });
    const { state, stdoutOffset, stderrOffset } = attached;
    const missing = streams?.skipTo({ stdout: stdoutOffset, stderr: stderrOffset });
    if (missing !== undefined) this.#options.onDropped(missing);
    if (state !== 'preparing') this.#hasBegun = true;
    if (state === 'waiting') this.#mayBePutBack = true;
    this.#begin(host, attached);
    return { host, attached };
  }

  #begin(host: HostConnection, attached: Attached | undefined): void {
    this.#visit = new Visit({
      host,
      streams: this.#options.streams,
      attached,
      onBegun: () => {
        this.#hasBegun = true;
      },
    });
    this.#options.forwards?.use(host);
    if (this.#stop !== 'none') this.#say({ type: 'stop', isForced: this.#stop === 'forced' });
    if (this.#lastSize !== undefined) this.#say({ type: 'resize', ...this.#lastSize });
    if (this.#lastSignal !== undefined) this.#say({ type: 'signal', name: this.#lastSignal });
  }

  #say(message: ClientMessage): void {
    this.#visit?.host.send(message);
  }
}

/** What signals to this process are for, while the command runs. */
export function handlersFor(run: HostedRun): InterruptHandlers {
  return {
    onStop: (isForced) => run.stop(isForced),
    onSignal: (name) => run.signal(name),
  };
}
