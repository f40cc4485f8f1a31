/** Named FIFOs as a command's streams, for systems without /proc (see streams.ts). */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { StreamEnds, ThreeStreams } from './streams.js';

/**
 * Makes three FIFOs with the `mkfifo` program (Node has no such call), opens both ends of each and
 * removes the names. Undefined where `mkfifo` is missing or fails; nothing is left behind then.
 */
export async function openFifos(scratchDirectory: string): Promise<ThreeStreams | undefined> {
  const token = randomBytes(6).toString('hex');
  const paths = ['stdin', 'stdout', 'stderr'].map((name) =>
    path.join(scratchDirectory, `${token}.${name}`),
  );
  const [stdin = '', stdout = '', stderr = ''] = paths;
  const opened: number[] = [];
  try {
    await makeFifos(paths);
    return {
      stdin: openToCommand(stdin, opened),
      stdout: openFromCommand(stdout, opened),
      stderr: openFromCommand(stderr, opened),
    };
  } catch {
    for (const fd of opened) closeSync(fd);
    return undefined;
  } finally {
    for (const name of paths) rmSync(name, { force: true });
  }
}

function makeFifos(paths: readonly string[]): Promise<unknown> {
  return promisify(execFile)('mkfifo', ['-m', '600', '--', ...paths]);
}

/** A non-blocking reader opens at once; with it there, a blocking writer does too. */
function openFromCommand(fifo: string, opened: number[]): StreamEnds {
  const host = openInto(opened, fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  return { host, command: openInto(opened, fifo, constants.O_WRONLY) };
}

/**
 * A non-blocking writer is refused (ENXIO) while there is no reader, and a blocking reader waits for
 * a writer: a non-blocking reader helps both and goes.
 */
function openToCommand(fifo: string, opened: number[]): StreamEnds {
  const helper = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const host = openInto(opened, fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    return { host, command: openInto(opened, fifo, constants.O_RDONLY) };
  } finally {
    closeSync(helper);
  }
}

function openInto(opened: number[], fifo: string, flags: number): number {
  const fd = openSync(fifo, flags);
  opened.push(fd);
  return fd;
}
