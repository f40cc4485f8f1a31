import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  currentProcess,
  livenessOf,
  parseProcessIdentity,
} from '../../../src/util/process-identity.js';

const here = currentProcess();

test('this process is alive, and what it writes down is read back', () => {
  assert.equal(livenessOf(here), 'alive');
  assert.deepEqual(parseProcessIdentity(JSON.stringify(here)), here);
});

test('a process that ended is dead', () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  assert.equal(livenessOf({ ...here, pid, startedAt: '1' }), 'dead');
});

test(
  'another process that got the same pid is not taken for it',
  { skip: process.platform !== 'linux' },
  async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: 'pipe' });
    await once(child, 'spawn');
    assert.equal(livenessOf({ ...here, pid: child.pid ?? 0, startedAt: '1' }), 'dead');
    child.stdin.end();
    await once(child, 'close');
  },
);

test('a reboot ends every process of the machine', () => {
  assert.equal(livenessOf({ ...here, bootId: 'before' }), 'dead');
});

test('nothing is known of another machine or another container', () => {
  assert.equal(livenessOf({ ...here, bootId: 'x', hostName: 'other' }), 'unknown');
  assert.equal(livenessOf({ ...here, pidSpace: 'pid:[1]' }), 'unknown');
});

test('a machine that got another name is still the same', () => {
  const expected = here.bootId === '' ? 'unknown' : 'alive';
  assert.equal(livenessOf({ ...here, hostName: 'renamed' }), expected);
});

test('anything else is no identity', () => {
  for (const text of ['', '{', '[]', 'null', '{"pid":1}', JSON.stringify({ ...here, pid: -1 })])
    assert.equal(parseProcessIdentity(text), undefined);
});
