import assert from 'node:assert/strict';
import { Duplex, PassThrough } from 'node:stream';
import { test } from 'node:test';
import { RmtxError } from '../../../src/errors.js';
import { PeerConnection } from '../../../src/protocol/connection.js';
import { LOST, hasCode, inbox, peers, readAll, roundTrip } from '../../support/peers.js';

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
