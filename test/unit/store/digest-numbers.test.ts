import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DigestNumbers } from '../../../src/store/digest-numbers.js';
import { digestBytes, hashBytes, toDigest } from '../../../src/store/digest.js';

const digestOf = (value: number): Buffer => hashBytes(Buffer.from(String(value)));

test('numbers digests as a map of their texts would', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(300), { maxLength: 600 }),
      fc.array(fc.nat(600)),
      (values, asked) => {
        const numbers = new DigestNumbers();
        const expected = new Map<string, number>();
        for (const value of values) {
          const name = toDigest(digestOf(value));
          if (!expected.has(name)) expected.set(name, expected.size);
          assert.equal(numbers.add(digestOf(value)), expected.get(name));
        }
        assert.equal(numbers.count, expected.size);
        for (const value of [...asked, ...values])
          assert.equal(
            numbers.numberOf(digestOf(value)),
            expected.get(toDigest(digestOf(value))) ?? -1,
          );
        for (const [name, number] of expected)
          assert.deepEqual(
            numbers.digest(number),
            digestBytes(name as ReturnType<typeof toDigest>),
          );
      },
    ),
  );
});

test('digests that differ in one bit are told apart', () => {
  const numbers = new DigestNumbers();
  const digest = Buffer.alloc(32);
  assert.equal(numbers.add(digest), 0);
  for (let bit = 0; bit < 256; bit++) {
    const other = Buffer.from(digest);
    other[bit >> 3] = 1 << (bit & 7);
    assert.equal(numbers.numberOf(other), -1);
    assert.equal(numbers.add(other), bit + 1);
  }
  assert.equal(numbers.numberOf(digest), 0);
});
