import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerConnection } from '../../../src/protocol/connection.js';
import { encodeCredit, encodeDataHead, encodeEnd } from '../../../src/protocol/frame.js';
import { socketPair } from '../../support/socket-pair.js';
import { peers, readAll, roundTrip } from '../../support/peers.js';

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
  const BYTES = 20_000;
  await using pair = await peers();
  const channel = pair.right.openReceive(1, { windowBytes: BYTES });
  const sender = pair.left.openSend(1);
  const writes = Array.from({ length: BYTES }, (_, n) => sender.write(Buffer.of(n & 0xff)));
  sender.end();
  await Promise.all(writes);
  await roundTrip(pair.left, pair.right);
  let pieces = 0;
  let next = 0;
  for await (const piece of channel) {
    pieces += 1;
    for (const byte of piece) assert.equal(byte, next++ & 0xff);
  }
  assert.equal(next, BYTES);
  assert.ok(pieces < 40, `${pieces} pieces`);
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

test('each channel number is opened once for each direction', async () => {
  await using pair = await peers();
  pair.left.openSend(1);
  pair.left.openReceive(1);
  for (const number of [1, -1, 0x10000, 1.5]) {
    assert.throws(() => pair.left.openSend(number), /cannot be opened/);
    assert.throws(() => pair.left.openReceive(number), /cannot be opened/);
  }
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
