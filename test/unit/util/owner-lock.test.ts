import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { OwnerLock, hasLiveOwner } from '../../../src/util/owner-lock.js';
import { currentProcess } from '../../../src/util/process-identity.js';

interface Directory extends Disposable {
  readonly path: string;
}

function makeDirectory(): Directory {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-lock-'));
  const dispose = (): void => rmSync(directory, { recursive: true, force: true });
  return { path: directory, [Symbol.dispose]: dispose };
}

const dead = { ...currentProcess(), startedAt: 'another start' };
const elsewhere = { ...currentProcess(), bootId: 'x', hostName: 'another machine' };

function plantOwner(directory: string, generation: number, owner: object): string {
  const file = path.join(directory, `owner.${generation}`);
  writeFileSync(file, JSON.stringify(owner));
  return file;
}

test('a directory has one owner at a time', () => {
  using directory = makeDirectory();
  assert.equal(hasLiveOwner(directory.path), false);
  const lock = OwnerLock.tryAcquire(directory.path);
  assert.ok(lock !== undefined);
  assert.ok(hasLiveOwner(directory.path));
  assert.equal(OwnerLock.tryAcquire(directory.path), undefined);
  lock.release();
  assert.deepEqual(readdirSync(directory.path), []);
  OwnerLock.tryAcquire(directory.path)?.release();
});

test('whoever waits gets it when it is released', async () => {
  using directory = makeDirectory();
  const first = OwnerLock.tryAcquire(directory.path);
  const waiting = OwnerLock.acquire(directory.path, 60_000);
  first?.release();
  const second = await waiting;
  assert.ok(second !== undefined);
  assert.equal(await OwnerLock.acquire(directory.path, 0), undefined);
  second.release();
});

test('a dead owner is followed by the next, and release removes both', () => {
  using directory = makeDirectory();
  plantOwner(directory.path, 1, dead);
  plantOwner(directory.path, 2, dead);
  const lock = OwnerLock.tryAcquire(directory.path);
  assert.ok(lock !== undefined);
  assert.deepEqual(readdirSync(directory.path).sort(), ['owner.1', 'owner.2', 'owner.3']);
  lock.release();
  assert.deepEqual(readdirSync(directory.path), []);
});

test('an owner that cannot be seen from here counts as alive for a day', () => {
  using directory = makeDirectory();
  for (const text of [JSON.stringify(elsewhere), 'half a fi']) {
    const file = path.join(directory.path, 'owner.1');
    writeFileSync(file, text);
    assert.equal(OwnerLock.tryAcquire(directory.path), undefined);
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 60 * 60;
    utimesSync(file, twoDaysAgo, twoDaysAgo);
    OwnerLock.tryAcquire(directory.path)?.release();
    assert.deepEqual(readdirSync(directory.path), []);
  }
});

test('there is no owner of a directory that is gone', () => {
  assert.throws(() => OwnerLock.tryAcquire('/nonexistent/rmtx'), { code: 'ENOENT' });
});

test('of processes that want it at once, some of them killed as owners, one has it at a time', async () => {
  using directory = makeDirectory();
  const counter = path.join(directory.path, 'counter');
  writeFileSync(counter, '0');
  const worker = path.join(__dirname, '../../support/lock-worker.js');
  const run = (rounds: number, isKilled: boolean): Promise<void> =>
    new Promise((resolve) => {
      const args = [worker, directory.path, String(rounds), isKilled ? 'die' : 'live'];
      spawn(process.execPath, args, { stdio: 'inherit' }).on('close', () => resolve());
    });
  // Each counts up once a round; those who die do so as owners, after their last round.
  await Promise.all([run(40, false), run(40, false), run(3, true), run(3, true), run(3, true)]);
  assert.equal(readFileSync(counter, 'utf8'), String(40 + 40 + 3 * 3));
});
