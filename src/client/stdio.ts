/**
 * Our own standard streams, without blocking the event loop and without changing a descriptor that
 * other processes share.
 *
 * Node writes to a stdout pipe synchronously: a stopped pager would stop the heartbeats and with them
 * the connection. Making the pipe non-blocking would do it to every process that shares it. On Linux
 * opening /proc/self/fd/N gives a description of our own, which may be non-blocking.
 */
import { constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';

/** stdout (1) or stderr (2), as a stream that takes back-pressure. */
export function openOutput(fd: 1 | 2): Writable {
  const shared = fd === 1 ? process.stdout : process.stderr;
  const own = reopenPipe(fd, constants.O_WRONLY);
  return own === undefined ? shared : new Socket({ fd: own, readable: false, writable: true });
}

/**
 * stdin where something is attached that can be forwarded (a pipe, a socket, a file); undefined for a
 * terminal, a device such as /dev/null, or a closed one: the command gets its end at once then.
 */
export function openInput(): Readable | undefined {
  let stats;
  try {
    stats = fstatSync(0);
  } catch {
    return undefined;
  }
  if (!stats.isFIFO() && !stats.isSocket() && !stats.isFile()) return undefined;
  const own = reopenPipe(0, constants.O_RDONLY);
  return own === undefined
    ? process.stdin
    : new Socket({ fd: own, readable: true, writable: false });
}

/** A non-blocking description of our own of the pipe behind a descriptor, where the system has that. */
function reopenPipe(fd: number, access: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    if (!fstatSync(fd).isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${fd}`, access | constants.O_NONBLOCK);
  } catch {
    // A pipe of another user, or one whose other end is gone: the shared stream says so when used.
    return undefined;
  }
}
