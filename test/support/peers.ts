/** Two connections to each other over a real socket, and what tests of them ask. */
import { isRmtxError } from '../../src/errors.js';
import { PeerConnection } from '../../src/protocol/connection.js';
import type { PeerConnectionOptions } from '../../src/protocol/connection.js';
import { socketPair } from './socket-pair.js';

export interface Peers extends AsyncDisposable {
  readonly left: PeerConnection;
  readonly right: PeerConnection;
}

export async function peers(options: PeerConnectionOptions = {}): Promise<Peers> {
  const pair = await socketPair();
  const left = new PeerConnection(pair.left, options);
  const right = new PeerConnection(pair.right, options);
  return {
    left,
    right,
    [Symbol.asyncDispose]: () => {
      left.destroy();
      right.destroy();
      return Promise.resolve();
    },
  };
}

/** Messages in the order of their coming, one promise each. */
export function inbox(connection: PeerConnection): () => Promise<unknown> {
  const waiting: unknown[] = [];
  let wake = (): void => undefined;
  connection.receiveMessages((message) => {
    waiting.push(message);
    wake();
  });
  return async () => {
    while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return waiting.shift();
  };
}

/** Resolves when everything that `from` has sent so far was handled by `to`, and the answer is back. */
export async function roundTrip(from: PeerConnection, to: PeerConnection): Promise<void> {
  to.receiveMessages(() => to.send({ pong: true }));
  const answered = new Promise<void>((resolve) => from.receiveMessages(() => resolve()));
  from.send({ ping: true });
  await answered;
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => isRmtxError(error) && error.code === code;
}

export const LOST = hasCode('ERR_RMTX_CONNECTION_LOST');

export async function readAll(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
