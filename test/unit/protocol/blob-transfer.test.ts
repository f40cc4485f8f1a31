import assert from 'node:assert/strict';
import {
  appendFileSync,
  closeSync,
  openSync,
  readdirSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { BlobReceiver } from '../../../src/protocol/blob-receiver.js';
import { BlobSender } from '../../../src/protocol/blob-sender.js';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import type { Digest } from '../../../src/store/digest.js';
import { MIB, place, random, transfer } from '../../support/blob-transfers.js';

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

test('a list of many chunks comes in parts, each compared when it comes', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const bytes = random(130 * MIB + 5);
  const basis = path.join(at.root, 'old');
  const older = Buffer.from(bytes);
  for (const index of [0, 63, 64, 129, 130]) older[index * MIB] = (older[index * MIB] ?? 0) ^ 1;
  writeFileSync(basis, older);
  const digest = at.source.add(bytes);
  at.sink.bases.set(digest, basis);
  receiver.want(digest, bytes.length);
  receiver.endRound();
  const { dataBytes } = await transfer(at, receiver, () => workOn(receiver));
  assert.ok(receiver.isRoundOver);
  assert.ok(dataBytes < 4 * MIB + 10_000, `${dataBytes} bytes sent`);
  assert.ok(at.sink.read(digest).equals(bytes));
});

test('a file that is found to have changed at the end of its list is gone', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const bytes = random(70 * MIB);
  const basis = path.join(at.root, 'old');
  writeFileSync(basis, everySecond(bytes));
  const digest = at.source.add(bytes);
  const small = at.source.add(random(10));
  changeOneByte(at.source.files.get(digest) ?? '');
  at.sink.bases.set(digest, basis);
  receiver.want(digest, bytes.length);
  receiver.want(small, 10);
  receiver.endRound();
  await transfer(at, receiver, () => workOn(receiver));
  assert.ok(receiver.isRoundOver);
  assert.deepEqual(at.sink.goneDigests, [digest]);
  assert.ok(at.sink.has(small));
  assert.deepEqual(readdirSync(at.sink.partials.directory), []);
});

function workOn(receiver: BlobReceiver): void {
  while (receiver.work());
}

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

test('comparing and verifying a large file is done in small steps', async () => {
  using at = place();
  using receiver = new BlobReceiver(at.sink);
  const bytes = random(24 * MIB);
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
  assert.ok(steps >= 48, `${steps} steps`);
  assert.ok(receiver.isRoundOver);
});
