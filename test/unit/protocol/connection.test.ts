import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { test } from 'node:test';
import { RmtxError, isRmtxError } from '../../../src/errors.js';
import { PeerConnection } from '../../../src/protocol/connection.js';
import type { PeerConnectionOptions } from '../../../src/protocol/connection.js';
import {
  encodeCredit,
  encodeDataHead,
  encodeEnd,
  encodeMessage,
} from '../../../src/protocol/frame.js';
import { socketPair } from '../../support/socket-pair.js';

interface Peers extends AsyncDisposable {
  readonly left: PeerConnection;
  readonly right: PeerConnection;
}

async function peers(options: PeerConnectionOptions = {}): Promise<Peers> {
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
function inbox(connection: PeerConnection): () => Promise<unknown> {
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
async function roundTrip(from: PeerConnection, to: PeerConnection): Promise<void> {
  to.receiveMessages(() => to.send({ pong: true }));
  const answered = new Promise<void>((resolve) => from.receiveMessages(() => resolve()));
  from.send({ ping: true });
  await answered;
}

const hasCode = (code: string) => (error: unknown) => isRmtxError(error) && error.code === code;
const LOST = hasCode('ERR_RMTX_CONNECTION_LOST');

async function readAll(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

test('carries messages both ways in order', async () => {
  await using pair = await peers();
  const left = inbox(pair.left);
  const right = inbox(pair.right);
  for (let n = 0; n < 5; n++) {
    pair.left.send({ n, text: 'hé\u0000' });
    pair.right.send({ back: n });
  }
  for (let n = 0; n < 5; n++) {
    assert.deepEqual(await right(), { n, text: 'hé\u0000' });
    assert.deepEqual(await left(), { back: n });
  }
});

test('keeps messages that came before anyone asked for them', async () => {
  await using pair = await peers();
  pair.left.send({ early: 1 });
  pair.left.send({ early: 2 });
  const channel = pair.right.openReceive(1);
  const sender = pair.left.openSend(1);
  await sender.write(Buffer.from('x'));
  sender.end();
  // The channel comes behind the messages, so they are here now.
  await readAll(channel);
  const right = inbox(pair.right);
  assert.deepEqual(await right(), { early: 1 });
  assert.deepEqual(await right(), { early: 2 });
});

test('carries a channel from end to end, whichever side opens first', async () => {
  await using pair = await peers();
  const bytes = Buffer.alloc(3_000_000, 'abcdefg');
  const sender = pair.left.openSend(9);
  const written = sender.write(bytes).then(() => sender.end());
  await roundTrip(pair.left, pair.right);
  assert.deepEqual(await readAll(pair.right.openReceive(9)), bytes);
  await written;
  const back = pair.left.openReceive(9);
  await roundTrip(pair.left, pair.right);
  const sendBack = pair.right.openSend(9);
  void sendBack.write(Buffer.from('back'));
  sendBack.end();
  assert.equal((await readAll(back)).toString('utf8'), 'back');
});

test('ends a channel on which nothing was written, also before it was opened', async () => {
  await using pair = await peers();
  pair.left.openSend(1).end();
  await roundTrip(pair.left, pair.right);
  assert.equal((await readAll(pair.right.openReceive(1))).length, 0);
});

test('works over any duplex stream', async () => {
  const there = new PassThrough();
  const back = new PassThrough();
  const left = new PeerConnection(Duplex.from({ readable: back, writable: there }));
  const right = new PeerConnection(Duplex.from({ readable: there, writable: back }));
  const sender = left.openSend(1);
  const bytes = Buffer.alloc(700_000, 'xyz');
  const written = sender.write(bytes).then(() => sender.end());
  assert.deepEqual(await readAll(right.openReceive(1)), bytes);
  await written;
  await left.close();
  assert.equal((await left.closed).reason, 'closed-here');
  assert.equal((await right.closed).reason, 'ended');
});

test('stops the writer of a channel that nobody reads, and no other', async () => {
  await using pair = await peers();
  const stopped = pair.right.openReceive(1, { windowBytes: 100_000 });
  const open = pair.right.openReceive(2);
  const sender = pair.left.openSend(1);
  const bytes = Buffer.alloc(1_000_000, 1);
  let isTaken = false;
  const written = sender.write(bytes).then(() => (isTaken = true));
  await roundTrip(pair.left, pair.right);
  await roundTrip(pair.left, pair.right);
  assert.ok(pair.left.bytesSent < 100_200, `${pair.left.bytesSent} bytes sent`);
  assert.equal(isTaken, false);

  const other = pair.left.openSend(2);
  void other.write(Buffer.from('through')).then(() => other.end());
  assert.equal((await readAll(open)).toString('utf8'), 'through');

  sender.end();
  assert.equal((await readAll(stopped)).length, bytes.length);
  await written;
});

test('grants a reader that is slow no more than its window', async () => {
  await using pair = await peers();
  const channel = pair.right.openReceive(1, { windowBytes: 64_000 });
  const sender = pair.left.openSend(1);
  const written = sender.write(Buffer.alloc(1_000_000)).then(() => sender.end());
  let read = 0;
  for await (const piece of channel) {
    read += piece.length;
    await roundTrip(pair.right, pair.left);
    assert.ok(pair.right.bytesReceived - read < 64_000 + 20_000);
  }
  await written;
  assert.equal(read, 1_000_000);
});

test('calls a push handler one piece at a time and holds the sender back meanwhile', async () => {
  await using pair = await peers();
  const channel = pair.right.openReceive(1, { windowBytes: 200_000 });
  const sender = pair.left.openSend(1);
  const bytes = Buffer.alloc(2_000_000, 'abc');
  const written = sender.write(bytes).then(() => sender.end());
  const pieces: Buffer[] = [];
  let active = 0;
  await channel.onData(async (piece) => {
    active += 1;
    assert.equal(active, 1);
    pieces.push(Buffer.from(piece));
    await roundTrip(pair.right, pair.left);
    active -= 1;
  });
  await written;
  assert.deepEqual(Buffer.concat(pieces), bytes);
});

test('does not keep an object for each byte of a sender of single bytes', async () => {
  await using pair = await peers();
  const channel = pair.right.openReceive(1, { windowBytes: 50_000 });
  const sender = pair.left.openSend(1);
  const writes = Array.from({ length: 50_000 }, (_, n) => sender.write(Buffer.of(n & 0xff)));
  sender.end();
  await Promise.all(writes);
  await roundTrip(pair.left, pair.right);
  let pieces = 0;
  let next = 0;
  for await (const piece of channel) {
    pieces += 1;
    for (const byte of piece) assert.equal(byte, next++ & 0xff);
  }
  assert.equal(next, 50_000);
  assert.ok(pieces < 100, `${pieces} pieces`);
});

test('lets channels take turns', async () => {
  await using pair = await peers();
  const channels = [1, 2, 3].map((number) =>
    pair.right.openReceive(number, { windowBytes: 1 << 23 }),
  );
  const finished: number[] = [];
  const reading = channels.map((channel) =>
    readAll(channel).then((all) => finished.push(all.length)),
  );
  const big = pair.left.openSend(1);
  void big.write(Buffer.alloc(8_000_000)).then(() => big.end());
  for (const number of [2, 3]) {
    const small = pair.left.openSend(number);
    void small.write(Buffer.alloc(100_000)).then(() => small.end());
  }
  await Promise.all(reading);
  assert.deepEqual(finished, [100_000, 100_000, 8_000_000]);
});

test('a receiver that cancels stops the sender; what is on its way is dropped', async () => {
  await using pair = await peers();
  const channel = pair.right.openReceive(1, { windowBytes: 50_000 });
  const sender = pair.left.openSend(1);
  const written = sender.write(Buffer.alloc(1_000_000));
  for await (const piece of channel) {
    assert.ok(piece.length > 0);
    break;
  }
  await written;
  await sender.cancelled;
  assert.equal(sender.isCancelled, true);
  await sender.write(Buffer.from('dropped'));
  sender.end();
  await roundTrip(pair.left, pair.right);
});

test('a cancel that comes before the sender opened is not forgotten', async () => {
  await using pair = await peers();
  pair.right.openReceive(1).cancel();
  await roundTrip(pair.right, pair.left);
  const sender = pair.left.openSend(1);
  await sender.cancelled;
  await sender.write(Buffer.alloc(10));
});

test('a push handler that throws cancels the channel', async () => {
  await using pair = await peers();
  const sender = pair.left.openSend(1);
  void sender.write(Buffer.from('x'));
  const failed = pair.right.openReceive(1).onData(() => {
    throw new RangeError('no');
  });
  await assert.rejects(failed, RangeError);
  await sender.cancelled;
  await roundTrip(pair.left, pair.right);
});

test('what came before the connection was lost is read before the error', async () => {
  await using pair = await peers();
  const channel = pair.right.openReceive(1);
  const sender = pair.left.openSend(1);
  const waiting = pair.left.openSend(2).write(Buffer.alloc(10));
  const unread = pair.right.openReceive(3);
  await sender.write(Buffer.from('last words'));
  await roundTrip(pair.left, pair.right);
  pair.left.destroy();
  const read: string[] = [];
  await assert.rejects(async () => {
    for await (const piece of channel) read.push(piece.toString('utf8'));
  }, LOST);
  assert.deepEqual(read, ['last words']);
  await assert.rejects(waiting, LOST);
  await assert.rejects(sender.write(Buffer.from('more')), LOST);
  await assert.rejects(readAll(unread), LOST);
  await assert.rejects(pair.left.openSend(4).write(Buffer.from('x')), LOST);
  await assert.rejects(readAll(pair.right.openReceive(5)), LOST);
});

test('a write that nobody waits for brings nothing down when the connection goes', async () => {
  await using pair = await peers();
  void pair.left.openSend(1).write(Buffer.from('x'));
  pair.left.destroy();
  void pair.left.openSend(2).write(Buffer.from('x'));
  await new Promise((resolve) => setImmediate(resolve));
});

test('close sends everything that was written, then ends both sides', async () => {
  await using pair = await peers();
  const channel = pair.right.openReceive(1, { windowBytes: 4_000_000 });
  await roundTrip(pair.right, pair.left);
  const right = inbox(pair.right);
  const sender = pair.left.openSend(1);
  void sender.write(Buffer.alloc(3_000_000, 7));
  await sender.write(Buffer.from('end'));
  sender.end();
  pair.left.send({ last: true });
  const reading = readAll(channel);
  await pair.left.close();
  assert.equal((await pair.left.closed).reason, 'closed-here');
  assert.deepEqual(await right(), { last: true });
  assert.equal((await reading).length, 3_000_003);
  assert.equal((await pair.right.closed).reason, 'ended');
  pair.left.send({ after: true });
  await pair.left.close();
});

test('both sides may close at once', async () => {
  await using pair = await peers();
  await Promise.all([pair.left.close(), pair.right.close()]);
  assert.equal((await pair.left.closed).reason, 'closed-here');
  assert.equal((await pair.right.closed).reason, 'closed-here');
});

test('the first reason of an end counts', async () => {
  await using pair = await peers();
  const error = new RmtxError('ERR_RMTX_HOST_STOPPING', 'stopping');
  pair.left.destroy(error);
  pair.left.destroy();
  assert.deepEqual(await pair.left.closed, { reason: 'closed-here', error });
  assert.notEqual((await pair.right.closed).reason, 'closed-here');
});

test('a message handler refuses a message by throwing', async () => {
  await using pair = await peers();
  const refusal = new RmtxError('ERR_RMTX_BAD_MESSAGE', 'not like this');
  pair.right.receiveMessages(() => {
    throw refusal;
  });
  pair.left.send({});
  assert.deepEqual(await pair.right.closed, { reason: 'protocol-error', error: refusal });
});

test('a bug in a message handler ends the connection and is not swallowed', async () => {
  await using pair = await peers();
  pair.left.send({});
  const bug = new TypeError('bug');
  pair.right.receiveMessages(() => {
    throw bug;
  });
  assert.deepEqual(await pair.right.closed, { reason: 'closed-here', error: bug });
});

test('refuses to send a message beyond the limit', async () => {
  await using pair = await peers({ maxMessageBytes: 100 });
  assert.throws(
    () => pair.left.send({ text: 'x'.repeat(100) }),
    hasCode('ERR_RMTX_FRAME_TOO_LARGE'),
  );
});

test('each channel number is opened once for each direction', async () => {
  await using pair = await peers();
  pair.left.openSend(1);
  pair.left.openReceive(1);
  for (const number of [1, -1, 0x10000, 1.5]) {
    assert.throws(() => pair.left.openSend(number), /cannot be opened/);
    assert.throws(() => pair.left.openReceive(number), /cannot be opened/);
  }
});

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

test('a number that both sides have let go carries another pair of streams, whatever of the first comes late', async () => {
  await using pair = await peers();
  const { left, right } = pair;
  for (let round = 0; round < 3; round++) {
    const near = left.openPair(2000, { windowBytes: 1000 });
    const far = right.openPair(2000, { windowBytes: 1000 });
    const bytes = Buffer.alloc(50_000, round);
    void near.sender.write(bytes).then(() => near.sender.end());
    void far.sender.write(bytes).then(() => far.sender.end());
    assert.throws(() => left.release(2000), /Internal error/);
    if (round === 1) far.receiver.cancel();
    else assert.ok((await readAll(far.receiver)).equals(bytes));
    assert.ok((await readAll(near.receiver)).equals(bytes));
    await Promise.all([near, far].flatMap((end) => [end.sender.ended, end.receiver.ended]));
    left.release(2000);
    right.release(2000);
    await roundTrip(left, right);
  }
  assert.throws(() => left.openSend(70_000), /Internal error/);
});

test('a number that is used again is never opened by the peer', async () => {
  for (const frame of [
    encodeEnd(2000),
    Buffer.concat([encodeDataHead(2000, 1), Buffer.alloc(1)]),
  ]) {
    const pair = await socketPair();
    const connection = new PeerConnection(pair.right);
    // What a receiver says can only be late.
    pair.left.write(encodeCredit(2000, 5));
    pair.left.write(frame);
    const { reason } = await connection.closed;
    assert.equal(reason, 'protocol-error');
    await pair[Symbol.asyncDispose]();
  }
  await using pair = await peers();
  pair.right.openReceive(2000, { windowBytes: 100 });
  await roundTrip(pair.right, pair.left);
  const sender = pair.left.openSend(2000);
  let isTaken = false;
  void sender.write(Buffer.alloc(1)).then(
    () => (isTaken = true),
    () => undefined,
  );
  await roundTrip(pair.left, pair.right);
  assert.equal(isTaken, false, 'credit from before the number was opened counts for nothing');
});
