import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { removeTree } from '../../../src/util/remove-tree.js';

function temporaryTree(): string {
  return mkdtempSync(path.join(os.tmpdir(), 'rmtx-remove-'));
}

/** Makes directories in one another until no path can name the last one. */
function makeDeep(start: string, name: string, depth: number): void {
  const before = process.cwd();
  process.chdir(start);
  try {
    for (let level = 0; level < depth; level++) {
      mkdirSync(name);
      process.chdir(name);
    }
    writeFileSync('deepest', 'x');
    if (depth > 100) chmodSync('.', 0o500);
  } finally {
    process.chdir(before);
  }
}

test('removes closed directories, and links without what they lead to', async () => {
  const top = temporaryTree();
  const kept = temporaryTree();
  writeFileSync(path.join(kept, 'kept'), '');
  mkdirSync(path.join(top, 'closed/inner'), { recursive: true });
  writeFileSync(path.join(top, 'closed/inner/file'), '');
  mkdirSync(Buffer.concat([Buffer.from(`${top}/closed/`), Buffer.of(0xff, 0xfe)]));
  symlinkSync(kept, path.join(top, 'closed/link'));
  chmodSync(path.join(top, 'closed/inner'), 0o000);
  chmodSync(path.join(top, 'closed'), 0o500);
  await removeTree(top);
  assert.ok(!existsSync(top));
  assert.deepEqual(readdirSync(kept), ['kept']);
  await removeTree(kept);
});

test('removes what is deeper than any path can be long', async () => {
  const top = temporaryTree();
  makeDeep(top, 'd'.repeat(100), 60);
  makeDeep(top, 'f'.repeat(200), 130);
  await removeTree(top);
  assert.ok(!existsSync(top));
});

test('nothing there is no error', async () => {
  await removeTree(path.join(os.tmpdir(), 'rmtx-nothing-there'));
});
