/**
 * The three byte streams between a command and the host.
 *
 * Node's own `'pipe'` is a socketpair: `/dev/stderr` cannot be opened on it (ENXIO). So the command
 * gets what a shell would give it. Node has no call that makes a pipe, therefore:
 *
 * - Linux: a shell makes three anonymous pipes and holds them while we open both ends of each through
 *   /proc/PID/fd; then it ends. Named FIFOs would not do: reopening `/dev/stdin` on a FIFO whose
 *   writer is done blocks for ever, on an anonymous pipe it gives EOF.
 * - macOS and BSD, where opening `/dev/stdin` only duplicates the descriptor: named FIFOs, unlinked as
 *   soon as they are open (fifo.ts).
 * - elsewhere, or where both fail: Node's `'pipe'`.
 *
 * Both ways cost one short process, about 2 ms. The command's ends are blocking, ours are not (they
 * are separate open file descriptions), and every descriptor is close-on-exec in this process.
 */
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { openFifos } from './fifo.js';

export interface StreamEnds {
  /** Non-blocking, ours. */
  readonly host: number;
  /** Blocking, becomes the command's descriptor. */
  readonly command: number;
}

export interface ThreeStreams {
  readonly stdin: StreamEnds;
  readonly stdout: StreamEnds;
  readonly stderr: StreamEnds;
}

/** Open descriptors until they are taken or disposed; dispose it when the command is never started. */
export class PreparedStreams implements Disposable {
  readonly #streams: ThreeStreams;
  readonly #open: Set<number>;

  constructor(streams: ThreeStreams) {
    this.#streams = streams;
    this.#open = new Set(
      [streams.stdin, streams.stdout, streams.stderr].flatMap((ends) => [ends.host, ends.command]),
    );
  }

  /** The command's three descriptors, for `spawn`; it gets copies. */
  commandEnds(): readonly [number, number, number] {
    const { stdin, stdout, stderr } = this.#streams;
    return [stdin.command, stdout.command, stderr.command];
  }

  /** To be called once the command runs: our copies of its ends would hide its EOF and its SIGPIPE. */
  closeCommandEnds(): void {
    for (const fd of this.commandEnds()) this.#close(fd);
  }

  /** A stream over our end, which now belongs to the stream. */
  take(name: keyof ThreeStreams): Socket {
    const fd = this.#streams[name].host;
    this.#open.delete(fd);
    const isInput = name === 'stdin';
    return new Socket({ fd, readable: !isInput, writable: isInput });
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open) this.#close(fd);
  }

  #close(fd: number): void {
    if (this.#open.delete(fd)) closeSync(fd);
  }
}

/**
 * Makes the streams of one command; start it as early as you like. Undefined where this system offers
 * nothing better than Node's own. `scratchDirectory` must be private.
 */
export async function prepareStreams(
  scratchDirectory: string,
): Promise<PreparedStreams | undefined> {
  if (process.platform === 'win32') return undefined;
  const pipes = process.platform === 'linux' ? await makePipes() : undefined;
  const streams = pipes ?? (await openFifos(scratchDirectory));
  return streams === undefined ? undefined : new PreparedStreams(streams);
}

/**
 * Four shell processes in a row are joined by three pipes; the two in the middle hold all of them on
 * descriptors of their own (0 and 1 move about while the shell redirects), tell their process ids and
 * wait until we let go of their input. Reading /proc/self/stat with a builtin is the portable way for
 * a subshell to learn its own id.
 */
const HOLDER_SCRIPT = `exec 3<&0 4>&1
: | {
  exec 5<&0 6>&1
  read pid rest </proc/self/stat && echo "first $pid" >&4
  read done <&3
} | {
  exec 5>&1
  read pid rest </proc/self/stat && echo "second $pid" >&4
  read done <&3
} | :`;

const HOLDERS = /^(?=.*^first (?<first>\d+)$)(?=.*^second (?<second>\d+)$)/ms;

/** Undefined where the shell or /proc does not play along. */
function makePipes(): Promise<ThreeStreams | undefined> {
  return new Promise((resolve) => {
    const holder = spawn('/bin/sh', ['-c', HOLDER_SCRIPT], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: {},
      cwd: '/',
    });
    const finish = (streams: ThreeStreams | undefined): void => {
      holder.stdin.destroy();
      holder.stdout.destroy();
      resolve(streams);
    };
    let told = '';
    holder.stdout.setEncoding('latin1').on('data', (text: string) => {
      told += text;
      const pids = HOLDERS.exec(told)?.groups;
      if (pids !== undefined) finish(openHeldPipes(pids['first'] ?? '', pids['second'] ?? ''));
    });
    // After `finish` these find the promise settled; before it they mean that the holder failed.
    holder.on('error', () => finish(undefined));
    holder.stdout.on('end', () => finish(undefined));
    for (const stream of [holder.stdin, holder.stdout]) stream.on('error', () => undefined);
  });
}

function openHeldPipes(firstPid: string, secondPid: string): ThreeStreams | undefined {
  const opened: number[] = [];
  const open = (path: string, flags: number): number => {
    const fd = openSync(path, flags);
    opened.push(fd);
    return fd;
  };
  // Either end of a pipe opens for reading and for writing under /proc.
  const toCommand = (path: string): StreamEnds => ({
    host: open(path, constants.O_WRONLY | constants.O_NONBLOCK),
    command: open(path, constants.O_RDONLY),
  });
  const fromCommand = (path: string): StreamEnds => ({
    host: open(path, constants.O_RDONLY | constants.O_NONBLOCK),
    command: open(path, constants.O_WRONLY),
  });
  try {
    return {
      stdin: toCommand(`/proc/${firstPid}/fd/5`),
      stdout: fromCommand(`/proc/${firstPid}/fd/6`),
      stderr: fromCommand(`/proc/${secondPid}/fd/5`),
    };
  } catch {
    for (const fd of opened) closeSync(fd);
    return undefined;
  }
}
