/** The command's three streams, between the connection's channels and ours. */
import type { Readable, Writable } from 'node:stream';
import type { ReceiveChannel, SendChannel } from '../protocol/connection.js';
import { drained } from '../util/drained.js';

/**
 * Writes everything that arrives to `target`, never faster than it takes it; a target that is closed
 * makes the command's end see a closed pipe. Resolves at the end of the stream, all bytes handed over.
 */
export async function forwardOutput(channel: ReceiveChannel, target: Writable): Promise<void> {
  const broken = new AbortController();
  const breaks = (): void => {
    broken.abort();
    channel.cancel();
  };
  target.on('error', breaks);
  try {
    for await (const piece of channel) {
      if (broken.signal.aborted) break;
      if (!target.write(piece)) await drained(target);
    }
    if (!broken.signal.aborted) await flushed(target);
  } finally {
    // A listener stays: a late EPIPE of a stream that nobody listens to would end the process.
    target.on('error', () => undefined);
    target.off('error', breaks);
  }
}

/** Sends our stdin to the command until either ends; then lets go of it, so that it holds nobody up. */
export async function forwardInput(source: Readable, channel: SendChannel): Promise<void> {
  void channel.cancelled.then(() => source.destroy());
  try {
    for await (const piece of source as AsyncIterable<Buffer>) await channel.write(piece);
    channel.end();
  } catch {
    // The command closed its stdin, or the connection is gone: whoever watches those says so.
  } finally {
    source.destroy();
  }
}

function flushed(target: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (target.destroyed) resolve();
    else target.write('', () => resolve());
  });
}
