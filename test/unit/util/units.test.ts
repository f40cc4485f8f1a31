import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../src/util/units.js';

describe('durations', () => {
  for (const [text, expected] of [
    ['750ms', 750],
    ['90s', 90_000],
    ['15m', 900_000],
    ['2h', 7_200_000],
    ['168h', 604_800_000],
    ['7d', 604_800_000],
    ['1.5s', 1500],
    ['1h30m', 5_400_000],
    ['0s', 0],
    ['', undefined],
    ['90', undefined],
    ['s', undefined],
    ['-1s', undefined],
    ['1 s', undefined],
    ['1S', undefined],
    ['1s ', undefined],
    ['1w', undefined],
    ['1e3s', undefined],
    ['99999999999999999d', undefined],
  ] as const)
    test(`"${text}" is ${String(expected)} ms`, () => {
      assert.equal(parseDuration(text), expected);
    });

  for (const [milliseconds, expected] of [
    [0, '0ms'],
    [750, '750ms'],
    [1000, '1s'],
    [1540, '1.5s'],
    [59_940, '59.9s'],
    [59_960, '1m'],
    [125_000, '2m5s'],
    [3_599_600, '1h'],
    [11_400_000, '3h10m'],
    [86_400_000, '1d'],
    [604_800_000, '7d'],
    [90_000_000, '1d1h'],
  ] as const)
    test(`${milliseconds} ms is shown as ${expected}`, () => {
      assert.equal(formatDuration(milliseconds), expected);
    });

  test('what is shown parses to nearly the same', () => {
    fc.assert(
      fc.property(fc.nat({ max: 10_000_000_000 }), (milliseconds) => {
        const parsed = parseDuration(formatDuration(milliseconds));
        assert.ok(parsed !== undefined);
        assert.ok(Math.abs(parsed - milliseconds) <= Math.max(1, milliseconds * 0.05));
      }),
    );
  });
});

describe('sizes', () => {
  for (const [text, expected] of [
    ['500MB', 500_000_000],
    ['2GiB', 2_147_483_648],
    ['1.5kb', 1500],
    ['10 MiB', 10_485_760],
    ['1tib', 1_099_511_627_776],
    ['0B', 0],
    ['500', undefined],
    ['5M', undefined],
    ['-5MB', undefined],
    ['MB', undefined],
    ['5constructor', undefined],
    ['99999999TiB', undefined],
  ] as const)
    test(`"${text}" is ${String(expected)} bytes`, () => {
      assert.equal(parseSize(text), expected);
    });

  for (const [bytes, expected] of [
    [0, '0B'],
    [999, '999B'],
    [1000, '1kB'],
    [1540, '1.5kB'],
    [18_200_000, '18MB'],
    [999_499, '999kB'],
    [999_960, '1MB'],
    [2_300_000_000, '2.3GB'],
    [5e15, '5000TB'],
  ] as const)
    test(`${bytes} bytes are shown as ${expected}`, () => {
      assert.equal(formatSize(bytes), expected);
    });

  test('what is shown parses to nearly the same', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 50 }), (bytes) => {
        const parsed = parseSize(formatSize(bytes));
        assert.ok(parsed !== undefined);
        assert.ok(Math.abs(parsed - bytes) <= bytes * 0.05);
      }),
    );
  });
});
