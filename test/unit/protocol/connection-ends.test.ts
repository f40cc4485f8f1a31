import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { isRmtxError } from '../../../src/errors.js';
import { PeerConnection } from '../../../src/protocol/connection.js';
import {
  encodeCredit,
  encodeDataHead,
  encodeEnd,
  encodeMessage,
} from '../../../src/protocol/frame.js';
import { socketPair } from '../../support/socket-pair.js';
import { peers, roundTrip } from '../../support/peers.js';

/** Sends raw bytes to a connection; resolves with its end. The peer may leave at the end of them. */
async function endAfter(
  bytes: Buffer,
  open: (connection: PeerConnection) => void,
): Promise<string> {
  await using pair = await socketPair();
  const connection = new PeerConnection(pair.right);
  open(connection);
  pair.left.on('error', () => undefined);
  pair.left.end(bytes);
  const { reason, error } = await connection.closed;
  return isRmtxError(error) ? `${reason} ${error.code}` : reason;
}

const BAD = 'protocol-error ERR_RMTX_BAD_MESSAGE';
const data = (channel: number, length: number): Buffer =>
  Buffer.concat([encodeDataHead(channel, length), Buffer.alloc(length)]);
const message = (payload: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length + 1, 0);
  head[4] = 1;
  return Buffer.concat([head, payload]);
};

const violations: [title: string, bytes: Buffer, end: string][] = [
  ['data on a channel that is not open', data(2, 1), BAD],
  ['more data than was granted', data(1, 11), BAD],
  ['a little data too often', Buffer.concat([data(1, 6), data(1, 5)]), BAD],
  ['data after the end', Buffer.concat([encodeEnd(1), data(1, 1)]), BAD],
  ['two ends', Buffer.concat([encodeEnd(1), encodeEnd(1)]), BAD],
  ['two ends of a channel that is not open', Buffer.concat([encodeEnd(5), encodeEnd(5)]), BAD],
  ['a message that is not JSON', message(Buffer.from('{"a":')), BAD],
  ['a message that is not UTF-8', message(Buffer.from([0x22, 0xff, 0x22])), BAD],
  ['a message that is an array', message(Buffer.from('[]')), BAD],
  ['a message that is null', message(Buffer.from('null')), BAD],
  ['a message that is a number', message(Buffer.from('12')), BAD],
  ['a deeply nested message', message(Buffer.from('['.repeat(200_000))), BAD],
  [
    '100 messages that nobody asked for',
    Buffer.concat(Array<Buffer>(100).fill(encodeMessage({}, 9))),
    BAD,
  ],
  [
    'a frame of 4 GiB',
    Buffer.from([255, 255, 255, 255, 1]),
    'protocol-error ERR_RMTX_FRAME_TOO_LARGE',
  ],
  ['a frame cut short', Buffer.from([0, 0, 0, 9, 2, 0]), 'lost ERR_RMTX_CONNECTION_LOST'],
  ['nothing', Buffer.alloc(0), 'ended'],
  ['credit and cancels for channels that are not open', encodeCredit(77, 0xffff_ffff), 'ended'],
];

for (const [title, bytes, end] of violations) {
  test(`ends with a reason after ${title}`, async () => {
    // Its reader does not read, so that nothing more is granted.
    const open = (connection: PeerConnection): void =>
      void connection.openReceive(1, { windowBytes: 10 });
    assert.equal(await endAfter(bytes, open), end);
  });
}

test('gives up on a peer that does not read', async () => {
  await using pair = await socketPair();
  pair.left.pause();
  const connection = new PeerConnection(pair.right);
  const text = 'x'.repeat(200_000);
  for (let n = 0; n < 200; n++) connection.send({ text });
  const { reason, error } = await connection.closed;
  assert.equal(reason, 'lost');
  assert.match(String(error), /does not read/);
});

test('finds a silent peer dead, and one with heartbeats alive', async () => {
  await using silent = await socketPair();
  await using pair = await peers({ heartbeatIntervalMs: 20, deadPeerMs: 200 });
  silent.left.resume();
  const waiting = new PeerConnection(silent.right, { heartbeatIntervalMs: 20, deadPeerMs: 200 });
  const { reason, error } = await waiting.closed;
  assert.equal(reason, 'lost');
  assert.match(String(error), /nothing came/);
  await roundTrip(pair.left, pair.right);
});

test('its timers hold no process alive', async () => {
  await using pair = await socketPair();
  new PeerConnection(pair.left);
  new PeerConnection(pair.right);
  pair.left.unref();
  pair.right.unref();
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout');
  assert.deepEqual(timers, []);
});

test('notices a stream that was destroyed before it was handed over', async () => {
  await using pair = await socketPair();
  pair.left.destroy();
  await once(pair.left, 'close');
  assert.equal((await new PeerConnection(pair.left).closed).reason, 'lost');
});
