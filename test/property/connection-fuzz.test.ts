import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRmtxError } from '../../src/errors.js';
import { PeerConnection } from '../../src/protocol/connection.js';
import {
  encodeCancel,
  encodeCredit,
  encodeDataHead,
  encodeEnd,
  encodeHeartbeat,
  encodeMessage,
} from '../../src/protocol/frame.js';
import { socketPair } from '../support/socket-pair.js';

const FACTOR = process.env['RMTX_LONG_TESTS'] === '1' ? 20 : 1;

const channel = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.nat(0xffff));

/** Frames that make sense on their own, in any order, and bytes that make none. */
const hostile: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc.object().map((message) => encodeMessage(message, 1 << 20)),
  fc
    .tuple(channel, fc.integer({ min: 1, max: 300 }))
    .map(([number, length]) =>
      Buffer.concat([encodeDataHead(number, length), Buffer.alloc(length)]),
    ),
  fc
    .tuple(channel, fc.integer({ min: 0, max: 0xffff_ffff }))
    .map(([number, byteCount]) => encodeCredit(number, byteCount)),
  channel.map(encodeEnd),
  channel.map(encodeCancel),
  fc.constant(encodeHeartbeat()),
  fc.tuple(fc.nat(8), fc.uint8Array({ maxLength: 20 })).map(([type, payload]) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(payload.length + 1, 0);
    head[4] = type;
    return Buffer.concat([head, payload]);
  }),
);

/** Everything that an owner of a connection does, so that every handler is reached. */
function useAll(connection: PeerConnection): Promise<unknown>[] {
  connection.receiveMessages((message) => void Object.keys(message as object));
  const pushed = connection.openReceive(1, { windowBytes: 200 }).onData(() => undefined);
  const pulled = (async (): Promise<void> => {
    const pieces: AsyncIterable<Buffer> = connection.openReceive(2, { windowBytes: 200 });
    for await (const piece of pieces) assert.ok(piece.length > 0);
  })();
  const sender = connection.openSend(1);
  const sent = sender.write(Buffer.alloc(100_000));
  const other = connection.openSend(3);
  other.end();
  return [pushed, pulled, sent];
}

test('whatever bytes a peer sends, a live connection closes with a reason and throws at nobody', async () => {
  const reasons = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(hostile, { maxLength: 15 }),
      fc.boolean(),
      async (parts, isAbrupt) => {
        await using pair = await socketPair();
        const connection = new PeerConnection(pair.right);
        const uses = useAll(connection);
        pair.left.on('error', () => undefined);
        pair.left.resume();
        for (const part of parts) pair.left.write(part);
        if (isAbrupt) pair.left.end(() => pair.left.destroy());
        else pair.left.end();
        const { reason, error } = await connection.closed;
        reasons.add(reason);
        if (error !== undefined) assert.ok(isRmtxError(error), String(error));
        if (reason === 'protocol-error')
          assert.ok(isRmtxError(error) && error.family === 'protocol');
        for (const outcome of await Promise.allSettled(uses))
          if (outcome.status === 'rejected') assert.ok(isRmtxError(outcome.reason));
        connection.send({ late: true });
        await connection.close();
      },
    ),
    { numRuns: 250 * FACTOR },
  );
  assert.ok(reasons.has('protocol-error') && reasons.has('lost') && reasons.has('ended'));
});

test('two connections that do anything with channels never fall out with each other', async () => {
  const action = fc.record({
    channel: fc.integer({ min: 1, max: 4 }),
    size: fc.nat(200_000),
    windowBytes: fc.integer({ min: 1000, max: 50_000 }),
    end: fc.constantFrom('end', 'cancel', 'stop-reading'),
  });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(action, { selector: (a) => a.channel }), async (actions) => {
      await using pair = await socketPair();
      const left = new PeerConnection(pair.left);
      const right = new PeerConnection(pair.right);
      const work = actions.map(async ({ channel: number, size, windowBytes, end }) => {
        const sender = left.openSend(number);
        const written = sender.write(Buffer.alloc(size, number)).then(() => sender.end());
        const receiver = right.openReceive(number, { windowBytes });
        let received = 0;
        for await (const piece of receiver) {
          received += piece.length;
          if (end === 'stop-reading' && received > size / 2) break;
          if (end === 'cancel' && received > size / 2) receiver.cancel();
        }
        await written;
        if (end === 'end') assert.equal(received, size);
      });
      await Promise.all(work);
      await left.close();
      assert.equal((await left.closed).reason, 'closed-here');
      assert.equal((await right.closed).reason, 'ended');
    }),
    { numRuns: 40 * FACTOR },
  );
});
