import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { isRmtxError } from '../../../src/errors.js';
import { BlobReceiver } from '../../../src/protocol/blob-receiver.js';
import { encodeDataHead } from '../../../src/protocol/blob-records.js';
import type { BlobDataHead } from '../../../src/protocol/blob-records.js';
import { encodeRequest } from '../../../src/protocol/blob-requests.js';
import type { BlobRequest } from '../../../src/protocol/blob-requests.js';
import { BlobSender, blobStoreSource } from '../../../src/protocol/blob-sender.js';
import { BlobStore } from '../../../src/store/blob-store.js';
import { createDigestStream, digestBytes, hashBytes, toDigest } from '../../../src/store/digest.js';
import type { Digest } from '../../../src/store/digest.js';
import { ByteWriter } from '../../../src/util/bytes.js';
import { SinkDirectory, SourceFiles } from '../../support/blob-peers.js';

const MIB = 1024 * 1024;

interface Place extends Disposable {
  readonly root: string;
  readonly source: SourceFiles;
  readonly sink: SinkDirectory;
}

function place(): Place {
  const root = mkdtempSync(path.join(os.tmpdir(), 'rmtx-blobs-'));
  return {
    root,
    source: new SourceFiles(path.join(root, 'source')),
    sink: new SinkDirectory(path.join(root, 'sink')),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

interface Traffic {
  dataBytes: number;
  requestBytes: number;
}

/** Carries requests and data between the two until the round is over, without any connection. */
async function transfer(
  place: Place,
  receiver: BlobReceiver,
  onData: (bytes: Buffer) => void = () => undefined,
): Promise<Traffic> {
  const traffic = { dataBytes: 0, requestBytes: 0 };
  const sender = new BlobSender(place.source, async (bytes) => {
    traffic.dataBytes += bytes.length;
    onData(bytes);
    receiver.push(bytes);
    // The memory is the sender's again from here on, and nobody may rely on what is in it.
    bytes.fill(0xee);
    await Promise.resolve();
  });
  for (;;) {
    while (receiver.work()) await Promise.resolve();
    const requests = receiver.takeRequests();
    if (requests === undefined) break;
    traffic.requestBytes += requests.length;
    await sender.push(requests);
  }
  sender.end();
  return traffic;
}

function random(size: number): Buffer {
  return randomFillSync(Buffer.allocUnsafe(size));
}

const hasCode = (code: string) => (error: unknown) => isRmtxError(error) && error.code === code;
const MISMATCH = hasCode('ERR_RMTX_DIGEST_MISMATCH');
const BAD = hasCode('ERR_RMTX_BAD_MESSAGE');

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

test('transfers blobs of every kind of size', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const sizes = [
    0,
    1,
    100,
    262_070,
    262_116,
    262_117,
    300_000,
    MIB,
    4 * MIB - 1,
    4 * MIB,
    5 * MIB + 1,
  ];
  const blobs = sizes.map(random);
  for (const bytes of blobs) receiver.want(at.source.add(bytes), bytes.length);
  receiver.endRound();
  assert.equal(receiver.isRoundOver, false);
  await transfer(at, receiver);
  assert.equal(receiver.isRoundOver, true);
  assert.equal(receiver.outstanding, 0);
  for (const bytes of blobs) assert.deepEqual(at.sink.read(toDigest(hashBytes(bytes))), bytes);
  assert.deepEqual(readdirSync(at.sink.partials.directory), []);
});

test('asks for a blob once, however often it is wanted', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const digest = at.source.add(random(1000));
  for (let n = 0; n < 5; n++) receiver.want(digest, 1000);
  receiver.endRound();
  const { dataBytes } = await transfer(at, receiver);
  assert.equal(at.source.opened, 1);
  assert.ok(dataBytes < 1100);
});

test('a round without blobs is over once the sender says so', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  receiver.endRound();
  assert.equal(receiver.isRoundOver, false);
  await transfer(at, receiver);
  assert.equal(receiver.isRoundOver, true);
});

const changes: [title: string, change: (file: string) => void][] = [
  ['vanished', (file) => unlinkSync(file)],
  ['shrank', (file) => truncateSync(file, 10)],
  ['was emptied', (file) => truncateSync(file, 0)],
  ['grew', (file) => appendFileSync(file, 'x')],
  ['changed in place', changeOneByte],
];

function changeOneByte(file: string): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.from([0xff, 0xfe, 0xfd]), 0, 3, 20);
  closeSync(fd);
}

for (const [title, change] of changes) {
  for (const size of [1000, 300_000, 5 * MIB]) {
    test(`says GONE for a file of ${size} bytes that ${title}, and goes on`, async () => {
      using at = place();
      using receiver = new BlobReceiver(at.sink);
      const before = at.source.add(random(500));
      const changed = at.source.add(random(size));
      const after = at.source.add(random(600));
      const file = at.source.files.get(changed) ?? '';
      change(file);
      if (title === 'vanished') at.source.files.delete(changed);
      receiver.want(before, 500);
      receiver.want(changed, size);
      receiver.want(after, 600);
      receiver.endRound();
      await transfer(at, receiver);
      assert.equal(receiver.isRoundOver, true);
      assert.deepEqual(at.sink.goneDigests, [changed]);
      assert.deepEqual(
        [before, changed, after].map((digest) => at.sink.has(digest)),
        [true, false, true],
      );
      assert.deepEqual(at.source.changedDigests, title === 'vanished' ? [] : [changed]);
      const partial = at.sink.partials.open(changed);
      assert.equal(partial, undefined);
    });
  }
}

test('a blob that was gone may be wanted again', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const bytes = random(5 * MIB);
  const digest = toDigest(hashBytes(bytes));
  receiver.want(digest, bytes.length);
  receiver.endRound();
  await transfer(at, receiver);
  assert.deepEqual(at.sink.goneDigests, [digest]);
  at.source.add(bytes);
  receiver.want(digest, bytes.length);
  assert.equal(receiver.isRoundOver, false);
  receiver.endRound();
  await transfer(at, receiver);
  assert.equal(receiver.isRoundOver, true);
  assert.deepEqual(at.sink.read(digest), bytes);
});

test('an edit of one byte in a large file sends one chunk', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const old = random(40 * MIB);
  const basis = path.join(at.root, 'old');
  writeFileSync(basis, old);
  const edited = Buffer.from(old);
  edited[23 * MIB] = (edited[23 * MIB] ?? 0) ^ 1;
  const digest = at.source.add(edited);
  at.sink.bases.set(digest, basis);
  receiver.want(digest, edited.length);
  receiver.endRound();
  const { dataBytes } = await transfer(at, receiver);
  assert.ok(receiver.isRoundOver);
  assert.ok(dataBytes < MIB + 4096, `${dataBytes} bytes sent`);
  assert.deepEqual(at.sink.read(digest), edited);
});

const bases: [title: string, make: (bytes: Buffer) => Buffer, maxChunks: number][] = [
  ['is the same', (bytes) => bytes, 0],
  ['is shorter', (bytes) => bytes.subarray(0, 3 * MIB + 5), 4],
  ['is longer', (bytes) => Buffer.concat([bytes, bytes]), 1],
  ['is empty', () => Buffer.alloc(0), 7],
  ['has nothing in common', (bytes) => Buffer.alloc(bytes.length, 1), 7],
  ['differs in every second chunk', everySecond, 4],
];

function everySecond(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let index = 0; index < bytes.length; index += 2 * MIB) copy[index] = (copy[index] ?? 0) ^ 1;
  return copy;
}

for (const [title, make, maxChunks] of bases) {
  test(`uses what it can of an older version that ${title}`, async () => {
    using at = place();
    using receiver = new BlobReceiver(at.sink);
    const bytes = random(6 * MIB + 100);
    const basis = path.join(at.root, 'old');
    writeFileSync(basis, make(bytes));
    const digest = at.source.add(bytes);
    at.sink.bases.set(digest, basis);
    receiver.want(digest, bytes.length);
    receiver.endRound();
    const { dataBytes } = await transfer(at, receiver);
    assert.deepEqual(at.sink.read(digest), bytes);
    assert.ok(dataBytes <= maxChunks * MIB + 2000, `${dataBytes} bytes sent`);
    assert.ok(receiver.isRoundOver);
    assert.deepEqual(readdirSync(at.sink.partials.directory), []);
  });
}

test('goes on with what a cut transfer left, beside an older version', async () => {
  using at = place();
  const bytes = random(12 * MIB);
  const digest = at.source.add(bytes);
  const basis = path.join(at.root, 'old');
  writeFileSync(basis, bytes.subarray(0, 3 * MIB));
  at.sink.bases.set(digest, basis);
  const cut = new Error('cut');
  {
    using receiver = new BlobReceiver(at.sink);
    receiver.want(digest, bytes.length);
    receiver.endRound();
    let received = 0;
    const onData = (piece: Buffer): void => {
      received += piece.length;
      if (received > 4 * MIB) throw cut;
    };
    await assert.rejects(transfer(at, receiver, onData), cut);
  }
  // Not even the older version is needed again.
  writeFileSync(basis, '');
  using receiver = new BlobReceiver(at.sink);
  receiver.want(digest, bytes.length);
  receiver.endRound();
  const { dataBytes } = await transfer(at, receiver);
  assert.deepEqual(at.sink.read(digest), bytes);
  assert.ok(dataBytes < 7 * MIB, `${dataBytes} bytes sent`);
});

test('goes on with a large file that was cut while it was sent for the first time', async () => {
  using at = place();
  const bytes = random(12 * MIB);
  const digest = at.source.add(bytes);
  const cut = new Error('cut');
  for (const wanted of [12, 9, 6]) {
    using receiver = new BlobReceiver(at.sink);
    receiver.want(digest, bytes.length);
    receiver.endRound();
    let received = 0;
    const onData = (piece: Buffer): void => {
      received += piece.length;
      if (received > 3.4 * MIB) throw cut;
    };
    await assert.rejects(transfer(at, receiver, onData), cut, `${wanted} MiB to go`);
  }
  using receiver = new BlobReceiver(at.sink);
  receiver.want(digest, bytes.length);
  receiver.endRound();
  const { dataBytes } = await transfer(at, receiver);
  assert.deepEqual(at.sink.read(digest), bytes);
  assert.ok(dataBytes < 4 * MIB, `${dataBytes} bytes sent`);
});

test('a file that changes between its chunk list and its chunks is gone', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const bytes = random(6 * MIB);
  const basis = path.join(at.root, 'old');
  writeFileSync(basis, everySecond(bytes));
  const digest = at.source.add(bytes);
  const small = at.source.add(random(10));
  at.sink.bases.set(digest, basis);
  receiver.want(digest, bytes.length);
  receiver.want(small, 10);
  receiver.endRound();
  let isChanged = false;
  await transfer(at, receiver, () => {
    if (!isChanged) changeOneByte(at.source.files.get(digest) ?? '');
    isChanged = true;
  });
  assert.ok(receiver.isRoundOver);
  assert.deepEqual(at.sink.goneDigests, [digest]);
  assert.ok(at.sink.has(small));
  assert.deepEqual(readdirSync(at.sink.partials.directory), []);
});

const skip = process.platform === 'linux' ? false : 'the test reads /proc';

test('many large files at once keep no more than a few files open', { skip }, async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const digests: Digest[] = [];
  const shared = random(4 * MIB);
  for (let n = 0; n < 10; n++) {
    const bytes = Buffer.concat([shared, random(10)]);
    const digest = at.source.add(bytes);
    const basis = path.join(at.root, `old-${n}`);
    writeFileSync(basis, shared);
    at.sink.bases.set(digest, basis);
    receiver.want(digest, bytes.length);
    digests.push(digest);
  }
  receiver.endRound();
  let mostOpen = 0;
  await transfer(at, receiver, () => {
    mostOpen = Math.max(mostOpen, readdirSync('/proc/self/fd').length);
  });
  assert.ok(receiver.isRoundOver);
  assert.ok(mostOpen < readdirSync('/proc/self/fd').length + 5);
  for (const digest of digests) assert.ok(at.sink.has(digest));
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

const small = Buffer.from('a small blob');
const large = Buffer.alloc(4 * MIB + 3, 'large');
const stored = Buffer.alloc(5 * MIB, 'stored');
const [smallRaw, largeRaw, storedRaw] = [hashBytes(small), hashBytes(large), hashBytes(stored)];
const chunkDigests = (bytes: Buffer): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(bytes.length / MIB) }, (_, n) =>
      hashBytes(bytes.subarray(n * MIB, (n + 1) * MIB)),
    ),
  );

function records(...parts: (BlobDataHead | Buffer)[]): Buffer {
  const writer = new ByteWriter();
  for (const part of parts)
    if (Buffer.isBuffer(part)) writer.raw(part);
    else encodeDataHead(writer, part);
  return writer.take();
}

/** Feeds bytes to a receiver that wants a small blob, a large one, and one of which it has a basis. */
function feed(at: Place, bytes: Buffer): void {
  const basis = path.join(at.root, 'basis');
  writeFileSync(basis, Buffer.alloc(5 * MIB, 'older'));
  at.sink.bases.set(toDigest(storedRaw), basis);
  using receiver = new BlobReceiver(at.sink);
  receiver.want(toDigest(smallRaw), small.length);
  receiver.want(toDigest(largeRaw), large.length);
  receiver.want(toDigest(storedRaw), stored.length);
  receiver.endRound();
  receiver.push(bytes);
  while (receiver.work());
}

const stream = { type: 'stream', digest: largeRaw, size: large.length } as const;
const list = {
  type: 'chunk-list',
  digest: storedRaw,
  size: stored.length,
  chunkSize: MIB,
} as const;
const piece = (length: number): [BlobDataHead, Buffer] => [
  { type: 'stream-data', length },
  large.subarray(0, length),
];

const lies: [title: string, bytes: () => Buffer, expected: (error: unknown) => boolean][] = [
  ['an unknown record', () => Buffer.from([77]), BAD],
  [
    'wrong bytes',
    () =>
      records({ type: 'blob', digest: smallRaw, size: small.length }, Buffer.alloc(small.length)),
    MISMATCH,
  ],
  [
    'a wrong size',
    () => records({ type: 'blob', digest: smallRaw, size: 3 }, Buffer.from('abc')),
    BAD,
  ],
  [
    'a blob nobody wants',
    () => records({ type: 'blob', digest: someDigest, size: 4 }, Buffer.from('some')),
    BAD,
  ],
  [
    'a blob twice',
    () => {
      const once = records({ type: 'blob', digest: smallRaw, size: small.length }, small);
      return Buffer.concat([once, once]);
    },
    BAD,
  ],
  [
    'a large blob in one piece',
    () => records({ type: 'blob', digest: largeRaw, size: large.length }),
    BAD,
  ],
  [
    'a small blob in pieces',
    () => records({ type: 'stream', digest: smallRaw, size: small.length }),
    BAD,
  ],
  [
    'a blob of an impossible size',
    () => records({ type: 'blob', digest: smallRaw, size: 2 ** 53 - 1 }),
    BAD,
  ],
  ['a stream piece without a stream', () => records(...piece(3)), BAD],
  ['a stream end without a stream', () => records({ type: 'stream-end' }), BAD],
  ['a stream within a stream', () => records(stream, stream), BAD],
  [
    'a blob within a stream',
    () => records(stream, { type: 'blob', digest: smallRaw, size: small.length }, small),
    BAD,
  ],
  ['a round’s end within a stream', () => records(stream, { type: 'round-end' }), BAD],
  ['another’s end within a stream', () => records(stream, { type: 'gone', digest: smallRaw }), BAD],
  ['a stream that ends early', () => records(stream, ...piece(MIB), { type: 'stream-end' }), BAD],
  [
    'a stream that goes on',
    () => records(stream, ...Array<[BlobDataHead, Buffer]>(5).fill(piece(MIB)).flat()),
    BAD,
  ],
  ['an empty stream piece', () => records(stream, { type: 'stream-data', length: 0 }), BAD],
  ['a huge stream piece', () => records(stream, { type: 'stream-data', length: MIB + 1 }), BAD],
  [
    'a stream of wrong bytes',
    () =>
      records(
        stream,
        ...Array<[BlobDataHead, Buffer]>(4).fill(piece(MIB)).flat(),
        { type: 'stream-data', length: 3 },
        Buffer.from('xyz'),
        { type: 'stream-end' },
      ),
    MISMATCH,
  ],
  [
    'a list nobody wants',
    () => records({ ...list, digest: largeRaw, size: large.length }, Buffer.alloc(5 * 32)),
    BAD,
  ],
  ['a list of another size', () => records({ ...list, size: 6 * MIB }, Buffer.alloc(6 * 32)), BAD],
  ['a list of chunks of 0 bytes', () => records({ ...list, chunkSize: 0 }), BAD],
  [
    'a list of other chunks',
    () => records({ ...list, chunkSize: 2 * MIB }, Buffer.alloc(3 * 32)),
    BAD,
  ],
  ['a list for 2^53 bytes', () => records({ ...list, size: 2 ** 53 - 1 }), BAD],
  ['a list twice', () => records(list, chunkDigests(stored), list, chunkDigests(stored)), BAD],
  [
    'a chunk before the list',
    () =>
      records({ type: 'chunk', digest: storedRaw, index: 0, length: MIB }, stored.subarray(0, MIB)),
    BAD,
  ],
  [
    'a chunk of 0 bytes',
    () => records({ type: 'chunk', digest: storedRaw, index: 0, length: 0 }),
    BAD,
  ],
  [
    'a chunk of 17 MiB',
    () => records({ type: 'chunk', digest: storedRaw, index: 0, length: 17 * MIB }),
    BAD,
  ],
  ['a lost blob nobody wants', () => records({ type: 'gone', digest: someDigest }), BAD],
  ['a round’s end that leaves blobs out', () => records({ type: 'round-end' }), BAD],
  [
    'a second round’s end',
    () => {
      const all = [smallRaw, largeRaw, storedRaw].map(
        (digest) => ({ type: 'gone', digest }) as const,
      );
      return records(...all, { type: 'round-end' }, { type: 'round-end' });
    },
    BAD,
  ],
];

for (const [title, bytes, expected] of lies) {
  test(`the receiver refuses ${title}`, () => {
    using at = place();
    const data = bytes();
    assert.throws(() => feed(at, data), expected);
    assert.deepEqual(at.sink.has(toDigest(largeRaw)), false);
  });

  test(`the receiver refuses ${title}, byte by byte`, () => {
    using at = place();
    const data = bytes();
    const receiver = new BlobReceiver(at.sink);
    receiver.want(toDigest(smallRaw), small.length);
    receiver.endRound();
    // Only the heads are of interest here: a record with many bytes goes in as a whole.
    if (data.length > 10_000) return;
    assert.throws(() => {
      for (const byte of data) receiver.push(Buffer.of(byte));
      while (receiver.work());
    });
    receiver[Symbol.dispose]();
  });
}

test('the receiver refuses wrong chunks, and a list that is not the blob’s', async () => {
  using at = place();
  const basis = path.join(at.root, 'basis');
  writeFileSync(basis, 'older');
  at.sink.bases.set(toDigest(storedRaw), basis);
  const chunks = (bytes: Buffer): (BlobDataHead | Buffer)[] =>
    [0, 1, 2, 3, 4].flatMap((index) => [
      { type: 'chunk', digest: storedRaw, index, length: MIB } as const,
      bytes.subarray(index * MIB, (index + 1) * MIB),
    ]);
  const other = Buffer.alloc(5 * MIB, 'other');
  for (const [listed, sent] of [
    [stored, other],
    [other, stored],
    [other, other],
  ] as const) {
    using receiver = new BlobReceiver(at.sink);
    receiver.want(toDigest(storedRaw), stored.length);
    receiver.endRound();
    receiver.push(records(list, chunkDigests(listed)));
    while (receiver.work());
    assert.throws(() => {
      receiver.push(records(...chunks(sent)));
      while (receiver.work());
    }, MISMATCH);
    assert.equal(at.sink.has(toDigest(storedRaw)), false);
  }
  // After all these lies the truth still gets through.
  using receiver = new BlobReceiver(at.sink);
  at.source.add(stored);
  receiver.want(toDigest(storedRaw), stored.length);
  receiver.endRound();
  await transfer(at, receiver);
  assert.deepEqual(at.sink.read(toDigest(storedRaw)), stored);
});

test('comparing and verifying a large file is done in small steps', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const bytes = random(64 * MIB);
  const basis = path.join(at.root, 'old');
  writeFileSync(basis, bytes);
  const digest = at.source.add(bytes);
  at.sink.bases.set(digest, basis);
  receiver.want(digest, bytes.length);
  receiver.endRound();
  const sender = new BlobSender(at.source, (data) => {
    receiver.push(data);
    return Promise.resolve();
  });
  await sender.push(receiver.takeRequests() ?? Buffer.alloc(0));
  let steps = 1;
  while (receiver.work(0)) steps += 1;
  assert.ok(steps >= 128, `${steps} steps`);
  assert.ok(receiver.isRoundOver);
});
