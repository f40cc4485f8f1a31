import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { BlobReceiver } from '../../../src/protocol/blob-receiver.js';
import { encodeDataHead } from '../../../src/protocol/blob-records.js';
import type { BlobDataHead } from '../../../src/protocol/blob-records.js';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { ByteWriter } from '../../../src/util/bytes.js';
import { BAD, MIB, MISMATCH, place, transfer } from '../../support/blob-transfers.js';
import type { Place } from '../../support/blob-transfers.js';

const someDigest = hashBytes(Buffer.from('some'));
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
  firstIndex: 0,
  count: 5,
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
  ['a list nobody wants', () => records({ ...list, digest: largeRaw }, Buffer.alloc(5 * 32)), BAD],
  ['a list of too many chunks', () => records({ ...list, count: 6 }, Buffer.alloc(6 * 32)), BAD],
  ['a list of 0 chunks', () => records({ ...list, count: 0 }), BAD],
  ['a list without its beginning', () => records({ ...list, firstIndex: 1, count: 4 }), BAD],
  [
    'a list with a gap',
    () => records({ ...list, count: 1 }, Buffer.alloc(32), { ...list, firstIndex: 2, count: 3 }),
    BAD,
  ],
  [
    'a list that goes on behind its end',
    () => records(list, chunkDigests(stored), { ...list, firstIndex: 5, count: 1 }),
    BAD,
  ],
  ['a list of 2^53 chunks', () => records({ ...list, count: 2 ** 53 - 1 }), BAD],
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
