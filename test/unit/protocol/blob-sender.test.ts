import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { BlobReceiver } from '../../../src/protocol/blob-receiver.js';
import { encodeRequest } from '../../../src/protocol/blob-requests.js';
import type { BlobRequest } from '../../../src/protocol/blob-requests.js';
import { BlobSender, blobStoreSource } from '../../../src/protocol/blob-sender.js';
import { BlobStore } from '../../../src/store/blob-store.js';
import { createDigestStream, digestBytes, hashBytes, toDigest } from '../../../src/store/digest.js';
import type { Digest } from '../../../src/store/digest.js';
import { ByteWriter } from '../../../src/util/bytes.js';
import { BAD, MIB, place, random } from '../../support/blob-transfers.js';

test('what the source has in memory is sent without opening it', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const contents = [random(0), random(7000), random(200_000), random(100_000)];
  const byDigest = new Map(contents.map((bytes) => [toDigest(hashBytes(bytes)), bytes]));
  const opened: Digest[] = [];
  const source = {
    content: (digest: Digest) => byDigest.get(digest),
    open: (digest: Digest) => {
      opened.push(digest);
      return at.source.open(digest);
    },
  };
  for (const bytes of contents) receiver.want(at.source.add(bytes), bytes.length);
  receiver.endRound();
  const sender = new BlobSender(source, (bytes) => {
    receiver.push(bytes);
    return Promise.resolve();
  });
  await sender.push(receiver.takeRequests() ?? Buffer.alloc(0));
  assert.equal(receiver.isRoundOver, true);
  for (const [digest, bytes] of byDigest) assert.deepEqual(at.sink.read(digest), bytes);
  // The last one did not fit into the batch that the others had filled.
  assert.deepEqual(opened, [toDigest(hashBytes(contents[3] as Buffer))]);
});

test('serves a blob store, and puts aside what is damaged in it', async () => {
  using at = place();
  const store = new BlobStore(path.join(at.root, 'store'));
  const [good, bad] = [random(1000), random(2000)];
  const [goodDigest, badDigest] = [good, bad].map((bytes) => toDigest(hashBytes(bytes)));
  assert.ok(goodDigest !== undefined && badDigest !== undefined);
  store.putBytes(goodDigest, good);
  store.putBytes(badDigest, bad);
  truncateSync(path.join(store.directory, 'blobs', badDigest.slice(7, 9), badDigest.slice(7)), 7);
  using receiver = new BlobReceiver(at.sink);
  receiver.want(goodDigest, 1000);
  receiver.want(badDigest, 2000);
  receiver.endRound();
  const sender = new BlobSender(blobStoreSource(store), (bytes) => {
    receiver.push(bytes);
    return Promise.resolve();
  });
  await sender.push(receiver.takeRequests() ?? Buffer.alloc(0));
  assert.ok(receiver.isRoundOver);
  assert.deepEqual(at.sink.read(goodDigest), good);
  assert.deepEqual(at.sink.goneDigests, [badDigest]);
  assert.equal(store.has(badDigest), false);
  assert.equal(sender.blobsSent, 1);
});

test('the sender lets others run while it reads', async () => {
  using at = place();
  const size = 128 * MIB;
  const file = path.join(at.root, 'zeros');
  writeFileSync(file, '');
  truncateSync(file, size);
  const zeros = createDigestStream();
  for (let n = 0; n < 128; n++) zeros.update(Buffer.alloc(MIB));
  const digest = zeros.finish();
  at.source.files.set(toDigest(digest), file);
  // Data that is taken at once: without slices nothing else would ever run.
  const sender = new BlobSender(at.source, () => Promise.resolve());
  for (const type of ['want', 'want-chunk-list'] as const) {
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    await sender.push(requestBytes({ type, digest, size }));
    clearImmediate(next);
    assert.ok(turns >= 2, `${turns} turns of the event loop`);
  }
});

test('the sender waits for what it sends and holds two batches at most', async () => {
  using at = place();
  const requests = new ByteWriter();
  for (let n = 0; n < 40; n++) {
    const digest = digestBytes(at.source.add(random(100_000)));
    encodeRequest(requests, { type: 'want', digest, size: 100_000 });
  }
  const held: (() => void)[] = [];
  const sender = new BlobSender(at.source, () => new Promise((resolve) => held.push(resolve)));
  const state = { isDone: false };
  const pushed = sender.push(requests.take()).then(() => (state.isDone = true));
  while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(held.length, 1);
  assert.ok(at.source.opened <= 6, `${at.source.opened} files read ahead`);
  while (!state.isDone) {
    held.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await pushed;
});

test('the sender passes on what the connection says', async () => {
  using at = place();
  const lost = new Error('lost');
  const requests = new ByteWriter();
  for (let n = 0; n < 10; n++) {
    const digest = digestBytes(at.source.add(random(100_000)));
    encodeRequest(requests, { type: 'want', digest, size: 100_000 });
  }
  const sender = new BlobSender(at.source, () => Promise.reject(lost));
  await assert.rejects(sender.push(requests.take()), lost);
});

function requestBytes(...requests: BlobRequest[]): Buffer {
  const writer = new ByteWriter();
  for (const request of requests) encodeRequest(writer, request);
  return writer.take();
}

const someDigest = hashBytes(Buffer.from('some'));
const badRequests: [title: string, bytes: Buffer][] = [
  ['of an unknown type', Buffer.from([9])],
  ['of type 0', Buffer.alloc(64)],
  [
    'for the chunks of a small blob',
    requestBytes({ type: 'want-chunk-list', digest: someDigest, size: 4 * MIB - 1 }),
  ],
  [
    'for the chunks of an impossible blob',
    requestBytes({ type: 'want-chunk-list', digest: someDigest, size: 2 ** 50 }),
  ],
  [
    'for chunks without a list',
    requestBytes({ type: 'want-chunks', digest: someDigest, firstIndex: 0, count: 1 }),
  ],
  [
    'with a number out of range',
    Buffer.concat([Buffer.from([1]), someDigest, Buffer.alloc(30, 0xff)]),
  ],
];

for (const [title, bytes] of badRequests) {
  test(`the sender refuses a request ${title}`, async () => {
    using at = place();
    const sender = new BlobSender(at.source, () => Promise.resolve());
    await assert.rejects(sender.push(bytes), BAD);
  });
}

test('the sender refuses requests that end within one', async () => {
  using at = place();
  const sender = new BlobSender(at.source, () => Promise.resolve());
  await sender.push(requestBytes({ type: 'want', digest: someDigest, size: 5 }).subarray(0, 20));
  assert.throws(() => sender.end(), BAD);
});

test('the sender refuses chunks beyond the list', async () => {
  using at = place();
  const digest = digestBytes(at.source.add(random(5 * MIB)));
  const sender = new BlobSender(at.source, () => Promise.resolve());
  await sender.push(requestBytes({ type: 'want-chunk-list', digest, size: 5 * MIB }));
  await sender.push(requestBytes({ type: 'want-chunks', digest, firstIndex: 4, count: 1 }));
  await assert.rejects(
    sender.push(requestBytes({ type: 'want-chunks', digest, firstIndex: 4, count: 2 })),
    BAD,
  );
});
