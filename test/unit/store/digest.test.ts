import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  createDigestStream,
  digestBytes,
  hashBytes,
  isDigest,
  loadNative,
  loadWasm,
  toDigest,
} from '../../../src/store/digest.js';

// From the BLAKE3 authors' test vectors: input bytes count 0, 1, … 250, 0, 1 …
const vectors: [length: number, hex: string][] = [
  [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
];

const input = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, n) => n % 251));

for (const implementation of [loadNative(), loadWasm()]) {
  const name = implementation?.name ?? 'native';
  const skip = implementation === undefined ? 'no prebuilt addon for this platform' : false;
  test(`${name}: gives the published digests`, { skip }, () => {
    for (const [length, hex] of vectors)
      assert.equal(implementation?.hash(input(length)).toString('hex'), hex);
  });

  test(`${name}: hashes in pieces as at once, also views into larger memory`, { skip }, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(), (bytes, seed) => {
        const cut = seed % (bytes.length + 1);
        const stream = implementation?.stream();
        stream?.update(bytes.subarray(0, cut));
        stream?.update(bytes.subarray(cut));
        assert.deepEqual(stream?.finish(), implementation?.hash(bytes));
      }),
    );
  });
}

test('native and WASM agree', { skip: loadNative() === undefined }, () => {
  const native = loadNative();
  const wasm = loadWasm();
  for (const length of [0, 1, 63, 64, 65, 1023, 1024, 1025, 8192, 100_000, 1 << 20])
    assert.deepEqual(native?.hash(input(length)), wasm.hash(input(length)));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
      assert.deepEqual(native?.hash(bytes), wasm.hash(bytes));
    }),
  );
});

test('a digest is its bytes in hex, and back', () => {
  const raw = hashBytes(Buffer.from('abc'));
  const digest = toDigest(raw);
  assert.equal(digest, 'blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85');
  assert.deepEqual(digestBytes(digest), raw);
  const stream = createDigestStream();
  stream.update(Buffer.from('abc'));
  assert.deepEqual(stream.finish(), raw);
});

test('knows a digest when it sees one', () => {
  const good = toDigest(hashBytes(Buffer.alloc(0)));
  assert.equal(isDigest(good), true);
  for (const bad of [
    good.toUpperCase(),
    good.slice(0, -1),
    `${good}0`,
    `${good}\n`,
    good.slice(7),
    'blake3:../../../../../../../../../../../../../../../../../../../../../etc',
    '',
    null,
    7,
  ])
    assert.equal(isDigest(bad), false, String(bad));
});
