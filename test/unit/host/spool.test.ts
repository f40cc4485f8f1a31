import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { Spool } from '../../../src/host/spool.js';
import type { SpoolOptions } from '../../../src/host/spool.js';

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-spool-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Bytes that tell their offset. */
function pattern(offset: number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => ((offset + index) * 7 + 3) % 251));
}

function readAll(spool: Spool, from: number, maxBytes: number): Buffer {
  const pieces: Buffer[] = [];
  for (let offset = from; ;) {
    const piece = spool.read(offset, maxBytes);
    if (piece.length === 0) return Buffer.concat(pieces);
    assert.ok(piece.length <= maxBytes);
    pieces.push(piece);
    offset += piece.length;
  }
}

test('gives back what was appended, from memory and from disk, from any offset', (t) => {
  const directory = temporaryDirectory(t);
  let count = 0;
  fc.assert(
    fc.property(
      // Each segment is a file, and the shortest ones have a byte.
      fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 10 }),
      fc.record({
        segmentBytes: fc.integer({ min: 1, max: 300 }),
        tailBytes: fc.integer({ min: 0, max: 500 }),
      }),
      fc.record({ start: fc.nat(1200), maxBytes: fc.integer({ min: 1, max: 700 }) }),
      (sizes, options, { start, maxBytes }) => {
        const name = `case${count++}`;
        using spool = Spool.open(directory, name, options);
        for (const size of sizes) spool.append(pattern(spool.length, size));
        const total = sizes.reduce((sum, size) => sum + size, 0);
        const from = Math.min(start, total);
        const expected = pattern(from, total - from);
        assert.equal(spool.length, total);
        assert.equal(spool.firstOffset, 0);
        assert.deepEqual(readAll(spool, from, maxBytes), expected);
        using again = Spool.open(directory, name, options);
        assert.equal(again.length, total);
        assert.deepEqual(readAll(again, from, maxBytes), expected);
      },
    ),
    { numRuns: 60 },
  );
});

test('keeps large and small pieces apart and together', (t) => {
  const directory = temporaryDirectory(t);
  using spool = Spool.open(directory, 'out', { tailBytes: 200_000 });
  for (const size of [1, 70_000, 3, 16_384, 20_000, 1, 1, 300_000, 5])
    spool.append(pattern(spool.length, size));
  for (const from of [0, 1, 70_003, 86_389, 106_390, 150_000, 406_394])
    assert.deepEqual(readAll(spool, from, 65_536), pattern(from, spool.length - from), `${from}`);
});

test('reads the newest bytes without touching the disk', (t) => {
  const directory = temporaryDirectory(t);
  using spool = Spool.open(directory, 'out');
  spool.append(Buffer.from('first line\n'));
  const held = spool.read(0, 100);
  rmSync(path.join(directory, 'out.0000000000000000'));
  spool.append(Buffer.from('second line\n'));
  assert.equal(readAll(spool, 0, 100).toString(), 'first line\nsecond line\n');
  assert.equal(held.toString(), 'first line\n');
});

test('makes no file before the first byte, and private ones then', (t) => {
  const directory = temporaryDirectory(t);
  using spool = Spool.open(directory, 'out');
  assert.deepEqual(readdirSync(directory), []);
  assert.deepEqual([spool.length, spool.firstOffset, spool.read(0, 10).length], [0, 0, 0]);
  spool.append(Buffer.from('x'));
  const file = path.join(directory, 'out.0000000000000000');
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('names segments by their offset and leaves other files alone', (t) => {
  const directory = temporaryDirectory(t);
  for (const name of ['out.txt', 'out', 'other.0000000000000000', 'out.00000000000000zz'])
    writeFileSync(path.join(directory, name), 'not ours');
  using spool = Spool.open(directory, 'out', { segmentBytes: 16 });
  assert.equal(spool.length, 0);
  spool.append(pattern(0, 40));
  assert.deepEqual(
    readdirSync(directory).filter((name) => /^out\.0{15}|^out\.0{14}[12]0$/.test(name)),
    ['out.0000000000000000', 'out.0000000000000010', 'out.0000000000000020'],
  );
});

test('wakes who waits, at more and at the end', async (t) => {
  using spool = Spool.open(temporaryDirectory(t), 'out');
  const first = spool.waitForMore(0);
  const later = spool.waitForMore(3);
  const woken: string[] = [];
  void first.then(() => woken.push('first'));
  void later.then(() => woken.push('later'));
  spool.append(Buffer.from('abc'));
  await first;
  assert.deepEqual(woken, ['first']);
  spool.append(Buffer.from('d'));
  await later;
  const atEnd = spool.waitForMore(4);
  spool.end();
  spool.end();
  await atEnd;
  await spool.waitForMore(100);
  assert.equal(spool.isEnded, true);
  assert.throws(() => spool.append(Buffer.from('x')), /ended/);
});

test('stops waiting when it is told to', async (t) => {
  using spool = Spool.open(temporaryDirectory(t), 'out');
  const controller = new AbortController();
  const waiting = spool.waitForMore(0, controller.signal);
  controller.abort();
  await waiting;
  await spool.waitForMore(0, controller.signal);
});

test('a reader that follows sees every byte once', async (t) => {
  using spool = Spool.open(temporaryDirectory(t), 'out', { segmentBytes: 1000, tailBytes: 500 });
  const follow = async (): Promise<Buffer> => {
    const pieces: Buffer[] = [];
    for (let offset = 0; ;) {
      const piece = spool.read(offset, 333);
      pieces.push(piece);
      offset += piece.length;
      if (piece.length > 0) continue;
      if (spool.isEnded) return Buffer.concat(pieces);
      await spool.waitForMore(offset);
    }
  };
  const readers = [follow(), follow()];
  for (let index = 0; index < 100; index += 1) {
    spool.append(pattern(spool.length, (index * 37) % 200));
    await Promise.resolve();
  }
  spool.end();
  for (const read of await Promise.all(readers)) assert.deepEqual(read, pattern(0, spool.length));
});

const limits: SpoolOptions = {
  segmentBytes: 100,
  limitBytes: 250,
  hardLimitBytes: 500,
  tailBytes: 0,
};

test('drops the oldest delivered segments over the limit', (t) => {
  const directory = temporaryDirectory(t);
  using spool = Spool.open(directory, 'out', limits);
  spool.append(pattern(0, 430));
  assert.equal(spool.firstOffset, 0);
  spool.retain(150);
  assert.equal(spool.firstOffset, 100);
  spool.retain(20);
  assert.equal(spool.firstOffset, 100);
  spool.retain(430);
  assert.equal(spool.firstOffset, 200);
  assert.equal(existsSync(path.join(directory, 'out.0000000000000000')), false);
  assert.throws(() => spool.read(199, 10), RangeError);
  assert.deepEqual(readAll(spool, 200, 64), pattern(200, 230));
});

test('keeps undelivered output up to the hard limit only', (t) => {
  const spool = Spool.open(temporaryDirectory(t), 'out', limits);
  t.after(() => spool[Symbol.dispose]());
  spool.append(pattern(0, 500));
  assert.equal(readAll(spool, 0, 64).length, 500);
  for (let index = 0; index < 50; index += 1) spool.append(pattern(spool.length, 50));
  const from = spool.firstOffset;
  assert.ok(from > 0);
  assert.ok(spool.length - from <= 500 + 100);
  assert.deepEqual(readAll(spool, from, 64), pattern(from, spool.length - from));
});

/** What an earlier life of the host wrote, in segments of 100 bytes. */
function leaveBehind(directory: string, length: number): void {
  using spool = Spool.open(directory, 'out', { segmentBytes: 100 });
  spool.append(pattern(0, length));
}

test('goes on after a restart where it was', (t) => {
  const directory = temporaryDirectory(t);
  const options = { segmentBytes: 100 };
  leaveBehind(directory, 250);
  using spool = Spool.open(directory, 'out', options);
  assert.equal(spool.length, 250);
  assert.equal(spool.isEnded, false);
  spool.append(pattern(250, 100));
  assert.deepEqual(readAll(spool, 0, 1000), pattern(0, 350));
  assert.equal(readFileSync(path.join(directory, 'out.00000000000000c8')).length, 100);
});

test('after a power cut tells only what is sure', (t) => {
  const directory = temporaryDirectory(t);
  leaveBehind(directory, 350);
  truncateSync(path.join(directory, 'out.0000000000000064'), 40);
  truncateSync(path.join(directory, 'out.000000000000012c'), 10);
  using spool = Spool.open(directory, 'out', { segmentBytes: 100 });
  assert.deepEqual([spool.firstOffset, spool.length], [200, 310]);
  assert.deepEqual(readAll(spool, 200, 64), pattern(200, 110));
  assert.equal(existsSync(path.join(directory, 'out.0000000000000000')), false);
});
