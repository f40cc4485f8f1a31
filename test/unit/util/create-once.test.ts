import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createFileOnce } from '../../../src/util/create-once.js';

test('the first content stays, private, and nothing else is left behind', () => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-once-'));
  try {
    const file = path.join(directory, 'key');
    assert.equal(createFileOnce(file, 'first'), true);
    assert.equal(createFileOnce(file, 'second'), false);
    assert.equal(readFileSync(file, 'utf8'), 'first');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    // A link that leads nowhere is something, too: nothing is created behind it.
    symlinkSync(path.join(directory, 'nowhere'), path.join(directory, 'link'));
    assert.equal(createFileOnce(path.join(directory, 'link'), 'x'), false);
    assert.deepEqual(readdirSync(directory).sort(), ['key', 'link']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a directory that is not there is the caller’s error', () => {
  assert.throws(() => createFileOnce('/nonexistent/directory/file', 'x'), { code: 'ENOENT' });
});
