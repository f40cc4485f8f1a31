import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRmtxError } from '../../src/errors.js';
import { BlobReceiver } from '../../src/protocol/blob-receiver.js';
import { BlobSender } from '../../src/protocol/blob-sender.js';
import { PeerConnection } from '../../src/protocol/connection.js';
import { digestBytes, hashBytes, toDigest } from '../../src/store/digest.js';
import type { Digest } from '../../src/store/digest.js';
import { ByteWriter } from '../../src/util/bytes.js';
import { SinkDirectory, SourceFiles } from '../support/blob-peers.js';
import { socketPair } from '../support/socket-pair.js';

const MIB = 1024 * 1024;
const RUNS = process.env['RMTX_LONG_TESTS'] === '1' ? 600 : 40;
const REQUESTS = 1;
const DATA = 2;

interface Wanted {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

/** Bytes that only depend on the seed, so that equal seeds make equal blobs. */
function bytesOf(seed: number, size: number): Buffer {
  const block = createHash('sha512').update(String(seed)).digest();
  const bytes = Buffer.alloc(size, block);
  // No two chunks alike.
  for (let offset = 0; offset + 4 < size; offset += 64 * 1024) bytes.writeUInt32LE(offset, offset);
  return bytes;
}

async function serve(
  connection: PeerConnection,
  source: SourceFiles,
  windowBytes: number,
): Promise<void> {
  const data = connection.openSend(DATA);
  const sender = new BlobSender(source, (bytes, options) => data.write(bytes, options));
  const requests: AsyncIterable<Buffer> = connection.openReceive(REQUESTS, { windowBytes });
  for await (const piece of requests) await sender.push(piece);
  sender.end();
  data.end();
}

async function receive(
  connection: PeerConnection,
  sink: SinkDirectory,
  wanted: readonly Wanted[],
): Promise<void> {
  using receiver = new BlobReceiver(sink);
  for (const { digest, bytes } of wanted)
    if (!sink.has(digest)) receiver.want(digest, bytes.length);
  receiver.endRound();
  const requests = connection.openSend(REQUESTS);
  // Nobody waits for the requests to leave: the sender takes them only as its data is taken.
  const step = async (): Promise<void> => {
    while (receiver.work()) await new Promise((resolve) => setImmediate(resolve));
    const bytes = receiver.takeRequests();
    if (bytes !== undefined) void requests.write(bytes);
    if (receiver.isRoundOver) requests.end();
  };
  await step();
  await connection.openReceive(DATA, { windowBytes: 4 * MIB }).onData(async (piece) => {
    receiver.push(piece);
    await step();
  });
}

/** One connection; it is destroyed once the receiving side got `cutAfter` bytes. */
async function attempt(
  sides: { source: SourceFiles; sink: SinkDirectory; wanted: readonly Wanted[] },
  cutAfter: number,
): Promise<{ isCut: boolean; bytes: number }> {
  await using pair = await socketPair();
  const sending = new PeerConnection(pair.left);
  const receiving = new PeerConnection(pair.right);
  // Before the connection's own listener would be too early: it must have seen the bytes.
  pair.right.on('data', () => {
    if (receiving.bytesReceived >= cutAfter) receiving.destroy();
  });
  // A small window for requests makes each side wait for the other, as a very large project does.
  const served = serve(sending, sides.source, 100).catch((error: unknown) => {
    assert.ok(isRmtxError(error), String(error));
  });
  try {
    await receive(receiving, sides.sink, sides.wanted);
  } catch (error) {
    assert.ok(isRmtxError(error) && error.code === 'ERR_RMTX_CONNECTION_LOST', String(error));
    await served;
    return { isCut: true, bytes: receiving.bytesReceived };
  }
  await served;
  await sending.close();
  return { isCut: false, bytes: receiving.bytesReceived };
}

const blob = fc.record({
  seed: fc.nat(5),
  size: fc.oneof(
    { weight: 5, arbitrary: fc.nat(20_000) },
    { weight: 1, arbitrary: fc.integer({ min: 200_000, max: 300_000 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 1, 262_116, MIB, 4 * MIB - 1, 4 * MIB) },
    { weight: 1, arbitrary: fc.integer({ min: 3 * MIB, max: 6 * MIB }) },
  ),
});

test('blobs arrive whole, wherever the connection is cut and however often it is taken up again', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(blob, { maxLength: 25 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
      async (blobs, cuts) => {
        const root = mkdtempSync(path.join(os.tmpdir(), 'rmtx-transfer-'));
        try {
          const source = new SourceFiles(path.join(root, 'source'));
          const sink = new SinkDirectory(path.join(root, 'sink'));
          const wanted = blobs.map(({ seed, size }) => {
            const bytes = bytesOf(seed, size);
            return { digest: source.add(bytes), bytes };
          });
          const total = wanted.reduce((sum, { bytes }) => sum + bytes.length, 0);
          let hasFinished = false;
          for (const cut of cuts) {
            const { isCut } = await attempt({ source, sink, wanted }, Math.ceil(cut * total));
            hasFinished ||= !isCut;
          }
          const last = await attempt({ source, sink, wanted }, Number.POSITIVE_INFINITY);
          assert.equal(last.isCut, false);
          for (const { digest, bytes } of wanted) assert.ok(sink.read(digest).equals(bytes));
          assert.equal(sink.received, new Set(wanted.map(({ digest }) => digest)).size);
          assert.deepEqual(sink.goneDigests, []);
          if (hasFinished) assert.ok(last.bytes < 1000, 'what is here is not sent again');
          assert.deepEqual(partials(sink), []);
        } finally {
          rmSync(root, { recursive: true });
        }
      },
    ),
    { numRuns: RUNS },
  );
});

test('a cut transfer of a large blob never starts over', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2 * MIB, max: 5 * MIB }), async (cutAfter) => {
      const root = mkdtempSync(path.join(os.tmpdir(), 'rmtx-transfer-'));
      try {
        const source = new SourceFiles(path.join(root, 'source'));
        const sink = new SinkDirectory(path.join(root, 'sink'));
        const bytes = bytesOf(1, 6 * MIB);
        const wanted = [{ digest: source.add(bytes), bytes }];
        const first = await attempt({ source, sink, wanted }, cutAfter);
        assert.equal(first.isCut, true);
        assert.equal(partials(sink).length, 1);
        const second = await attempt({ source, sink, wanted }, Number.POSITIVE_INFINITY);
        assert.ok(sink.read(wanted[0]?.digest ?? source.add(bytes)).equals(bytes));
        // A chunk that was begun, and a batch on its way into the file, are sent again.
        assert.ok(second.bytes <= 6 * MIB - cutAfter + 1.5 * MIB, `${second.bytes} bytes`);
      } finally {
        rmSync(root, { recursive: true });
      }
    }),
    { numRuns: 8 },
  );
});

const raw = fc.uint8Array({ minLength: 32, maxLength: 32 });
const known = fc.constantFrom(...[0, 1, 2].map((seed) => digestBytes(digestOfSeed(seed))));
const digest = fc.oneof({ weight: 5, arbitrary: known }, { weight: 1, arbitrary: raw });
const number = fc.oneof(
  fc.nat(300),
  fc.constantFrom(MIB, 4 * MIB, 5 * MIB, 2 ** 44, Number.MAX_SAFE_INTEGER),
);
const bytes = fc.uint8Array({ maxLength: 200 });

/** Records of any kind with any numbers, sometimes followed by the bytes they announce. */
const records = fc.array(
  fc.oneof(
    bytes,
    fc
      .tuple(fc.integer({ min: 0, max: 9 }), digest, fc.array(number, { maxLength: 3 }))
      .map(([type, name, numbers]) => {
        const writer = new ByteWriter().u8(type);
        if (type !== 3 && type !== 4) writer.raw(name);
        for (const value of numbers) writer.varint(value);
        return writer.take();
      }),
    fc.nat(2).map((seed) => {
      const content = contentOfSeed(seed);
      const head = new ByteWriter().u8(1).raw(digestBytes(digestOfSeed(seed)));
      return head.varint(content.length).raw(content).take();
    }),
  ),
  { maxLength: 12 },
);

function contentOfSeed(seed: number): Buffer {
  return bytesOf(seed, 100 + seed);
}

function digestOfSeed(seed: number): Digest {
  return toDigest(hashBytes(contentOfSeed(seed)));
}

test('a receiver takes only what is right, whatever bytes it is fed', () => {
  fc.assert(
    fc.property(records, (parts) => {
      const received: Digest[] = [];
      const receiver = new BlobReceiver({
        basis: () => undefined,
        small: (name, content) => {
          assert.equal(toDigest(hashBytes(content)), name);
          assert.ok(!received.includes(name));
          received.push(name);
        },
        createLarge: () => assert.fail('none is that large'),
        large: () => assert.fail('none is that large'),
        gone: (name) => assert.ok(!received.includes(name)),
      });
      for (const seed of [0, 1, 2]) receiver.want(digestOfSeed(seed), 100 + seed);
      receiver.endRound();
      try {
        for (const part of parts) receiver.push(part);
        while (receiver.work());
      } catch (error) {
        assert.ok(isRmtxError(error), String(error));
      } finally {
        receiver[Symbol.dispose]();
      }
    }),
    { numRuns: 10 * RUNS },
  );
});

test('a sender answers or refuses, whatever bytes it is fed', async () => {
  const root = mkdtempSync(path.join(os.tmpdir(), 'rmtx-sender-'));
  try {
    const source = new SourceFiles(root);
    for (const seed of [0, 1, 2]) source.add(contentOfSeed(seed));
    await fc.assert(
      fc.asyncProperty(records, async (parts) => {
        const sender = new BlobSender(source, () => Promise.resolve());
        try {
          for (const part of parts) await sender.push(part);
          sender.end();
        } catch (error) {
          assert.ok(isRmtxError(error) && error.code === 'ERR_RMTX_BAD_MESSAGE', String(error));
        }
      }),
      { numRuns: 10 * RUNS },
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});

function partials(sink: SinkDirectory): string[] {
  return sink.partials.names();
}
