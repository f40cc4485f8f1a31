import assert from 'node:assert/strict';
import { appendFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { hashOpenFile } from '../../../src/sync/hash-file.js';
import type { HashedBytes } from '../../../src/sync/hash-file.js';
import type { LargeFileReader } from '../../../src/sync/large-files.js';
import type { Steps } from '../../../src/util/slices.js';
import { ProjectTree, pathsOf } from '../../support/project-tree.js';

/** Reads files from 100 bytes on; what a test does between its steps is up to that. */
class Reader implements LargeFileReader {
  readonly minBytes = 100;
  offered: readonly number[] | undefined;
  indexes: number[] = [];
  ends = 0;
  onRead: (index: number) => void = () => undefined;

  async offer(sizes: readonly number[]): Promise<void> {
    assert.equal(this.offered, undefined);
    await Promise.resolve();
    this.offered = sizes;
  }

  *read(index: number, file: { readonly fd: number; readonly limit: number }): Steps<HashedBytes> {
    assert.ok(this.offered !== undefined && this.ends === 0);
    this.indexes.push(index);
    yield Promise.resolve();
    this.onRead(index);
    return yield* hashOpenFile(file.fd, file.limit);
  }

  end(): void {
    this.ends += 1;
  }
}

const large = 'x'.repeat(100);
const files = {
  'a.bin': large,
  'b/c.bin': `${large}c`,
  'b/d': 'small',
  'b.bin': `${large}bb`,
  'z/z.bin': `${large}zzz`,
};

test('large files come last and stand where they belong', async () => {
  using tree = new ProjectTree(files);
  const reader = new Reader();
  const scan = await tree.scan({ largeFiles: reader });
  assert.deepEqual(reader.offered?.toSorted(), [100, 101, 102, 103]);
  assert.deepEqual([reader.indexes, reader.ends], [[0, 1, 2, 3], 1]);
  const plain = await tree.scan();
  assert.deepEqual(pathsOf(scan.table), pathsOf(plain.table));
  assert.equal(scan.table.manifestId, plain.table.manifestId);
  assert.deepEqual(
    [scan.filesHashed, scan.bytesHashed, scan.hasChanged],
    [plain.filesHashed, plain.bytesHashed, true],
  );
});

test('files that a scan knows, or that are small, are none of them', async () => {
  using tree = new ProjectTree(files);
  const previous = await tree.settledScan();
  tree.write('a.bin', `${large} changed`);
  tree.write('new', 'small');
  const reader = new Reader();
  const changed = await tree.scan({ previous, largeFiles: reader });
  assert.deepEqual([reader.offered, reader.ends], [undefined, 0]);
  assert.equal(changed.table.manifestId, (await tree.scan()).table.manifestId);
  tree.write('b/new.bin', large);
  const added = await tree.scan({ previous: changed, largeFiles: reader });
  assert.deepEqual(reader.offered, [100]);
  assert.equal(added.table.manifestId, (await tree.scan()).table.manifestId);
});

test('one that changes while it is read is read again, one that goes is gone', async () => {
  using tree = new ProjectTree(files);
  const reader = new Reader();
  reader.onRead = (index) => {
    if (index === 0) appendFileSync(tree.at('a.bin'), 'more');
    if (index === 1) rmSync(tree.at('b.bin'));
    if (index === 1) rmSync(tree.at('b/c.bin'), { force: true });
  };
  const scan = await tree.scan({ largeFiles: reader });
  assert.equal(reader.ends, 1);
  assert.equal(scan.table.size(scan.table.indexOf('a.bin')), 104);
  const next = await tree.scan({ previous: scan });
  assert.equal(next.table.manifestId, (await tree.scan()).table.manifestId);
});

test('nothing is read any more after an abort or an error, and the reader is told', async () => {
  using tree = new ProjectTree(files);
  const abort = new AbortController();
  const aborted = new Reader();
  aborted.onRead = () => abort.abort();
  await assert.rejects(tree.scan({ largeFiles: aborted, abortSignal: abort.signal }), {
    name: 'AbortError',
  });
  assert.equal(aborted.ends, 1);
  const failing = new Reader();
  failing.offer = () => Promise.reject(new Error('refused'));
  await assert.rejects(tree.scan({ largeFiles: failing }), /refused/);
  assert.equal(failing.ends, 1);
});
