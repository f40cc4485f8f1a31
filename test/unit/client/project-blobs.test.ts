import assert from 'node:assert/strict';
import { closeSync, readFileSync, utimesSync } from 'node:fs';
import { test } from 'node:test';
import { ProjectBlobs } from '../../../src/client/project-blobs.js';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { ProjectTree } from '../../support/project-tree.js';

const equal = 'the same in all of them';
const digest = toDigest(hashBytes(Buffer.from(equal)));
const names = Array.from({ length: 10 }, (_, index) => `f${index}`);

async function scanned(): Promise<{ tree: ProjectTree; blobs: ProjectBlobs }> {
  const tree = new ProjectTree({
    ...Object.fromEntries(names.map((name) => [name, equal])),
    other: 'another',
  });
  // Long ago, so that the scan's signatures prove something.
  for (const name of names) utimesSync(tree.at(name), 1e9, 1e9);
  const { table } = await tree.settledScan();
  const none = (): undefined => undefined;
  const from = { root: tree.root, snapshotOf: none, keptContentOf: none };
  return { tree, blobs: new ProjectBlobs(from, table) };
}

function contentOf(blobs: ProjectBlobs): string | undefined {
  const opened = blobs.open(digest);
  if (opened === undefined) return undefined;
  const content = readFileSync(opened.fd, 'utf8');
  closeSync(opened.fd);
  return content;
}

test('of equal files one that is left, or left alone, is sent', async () => {
  const { tree, blobs } = await scanned();
  using _ = tree;
  assert.equal(contentOf(blobs), equal);
  for (const name of names.slice(0, 5)) tree.remove(name);
  for (const name of names.slice(5, 9)) tree.write(name, 'written to meanwhile');
  assert.equal(contentOf(blobs), equal);
  assert.deepEqual(blobs.changedPaths, []);
});

test('equal files that are all gone are all looked at again', async () => {
  const { tree, blobs } = await scanned();
  using _ = tree;
  for (const name of names) tree.remove(name);
  assert.equal(contentOf(blobs), undefined);
  assert.deepEqual(blobs.changedPaths, names);
});

test('equal files that were all written to are all looked at again', async () => {
  const { tree, blobs } = await scanned();
  using _ = tree;
  for (const name of names) tree.write(name, 'written to meanwhile');
  assert.equal(contentOf(blobs), 'written to meanwhile');
  blobs.changed(digest);
  assert.deepEqual(blobs.changedPaths, names);
});

test('equal files that nobody has touched are not copied for the one that changed', async () => {
  const { tree, blobs } = await scanned();
  using _ = tree;
  assert.equal(contentOf(blobs), equal);
  // As if it had been written to while it was read.
  blobs.changed(digest);
  assert.deepEqual(blobs.changedPaths, ['f0']);
});
