import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { BlobFeed } from '../../../src/host/blob-feed.js';
import type { TakenBlobs } from '../../../src/host/workspace-worker-messages.js';
import { createDeferred } from '../../../src/util/deferred.js';

/** Also what one half takes of the memory that goes to the worker and comes back. */
const MEBIBYTE = 1024 * 1024;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A worker that is as slow as it is told to be. */
class Worker {
  readonly taken: Buffer[] = [];
  calls = 0;
  turn: Promise<void> = Promise.resolve();

  async pushBlobs(bytes: Uint8Array<ArrayBuffer>): Promise<TakenBlobs> {
    this.calls += 1;
    // As to a thread: nobody else can use it before it is back.
    const given = structuredClone(bytes, { transfer: [bytes.buffer] });
    await this.turn;
    this.taken.push(Buffer.from(given));
    return { isRoundOver: false, gone: [], memory: given.buffer };
  }
}

test('every byte gets to the worker, in order, in few messages', async () => {
  const worker = new Worker();
  let results = 0;
  const feed = new BlobFeed(worker, () => (results += 1));
  const data = randomBytes(5 * MEBIBYTE + 123);
  for (let offset = 0; offset < data.length; offset += 16_384) {
    const waiting = feed.push(data.subarray(offset, offset + 16_384));
    if (waiting !== undefined) await waiting;
  }
  await feed.end();
  assert.ok(Buffer.concat(worker.taken).equals(data));
  assert.ok(worker.calls <= 12, `${worker.calls} messages`);
  assert.equal(results, worker.calls);
});

test('what is left when nothing more comes goes by itself', async () => {
  const arrived = createDeferred<undefined>();
  const worker = new Worker();
  const feed = new BlobFeed(worker, () => arrived.resolve(undefined));
  assert.equal(feed.push(Buffer.from('the last')), undefined);
  await arrived.promise;
  assert.deepEqual(worker.taken, [Buffer.from('the last')]);
});

test('so does what is left of pieces that had to wait for the worker', async () => {
  for (const sizes of [[2 * MEBIBYTE], [MEBIBYTE, 1], [MEBIBYTE - 1, 2], [10, MEBIBYTE, 10]])
    for (const pausesBetween of [0, 1, 2, 3]) {
      const worker = new Worker();
      const data = randomBytes(sizes.reduce((sum, size) => sum + size));
      const arrived = createDeferred<undefined>();
      let bytes = 0;
      const feed = new BlobFeed(worker, () => {
        bytes = worker.taken.reduce((sum, part) => sum + part.length, 0);
        if (bytes === data.length) arrived.resolve(undefined);
      });
      // The worker takes until the watch for more has given up.
      worker.turn = turns(4);
      let offset = 0;
      for (const size of sizes) {
        await feed.push(data.subarray(offset, (offset += size)));
        await turns(pausesBetween);
      }
      await arrived.promise;
      assert.ok(Buffer.concat(worker.taken).equals(data));
    }
});

test('a busy worker holds the sender back, and nothing is overwritten meanwhile', async () => {
  const gate = createDeferred<undefined>();
  const worker = new Worker();
  worker.turn = gate.promise;
  const feed = new BlobFeed(worker, () => undefined);
  const data = randomBytes(3 * MEBIBYTE);
  let isThrough = false;
  const through = Promise.resolve(feed.push(data)).then(() => (isThrough = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([isThrough, worker.calls], [false, 1]);
  gate.resolve(undefined);
  await through;
  await feed.end();
  assert.ok(Buffer.concat(worker.taken).equals(data));
});

test('what the worker throws comes out of the next push, or of the end', async () => {
  const worker = new Worker();
  worker.turn = Promise.reject(new Error('no space'));
  worker.turn.catch(() => undefined);
  const feed = new BlobFeed(worker, () => undefined);
  const push = async (): Promise<void> => {
    for (;;) await feed.push(randomBytes(MEBIBYTE));
  };
  await assert.rejects(push, /no space/);
  await assert.rejects(feed.failed, /no space/);
  await assert.rejects(feed.end(), /no space/);
});
