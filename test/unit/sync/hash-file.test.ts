import assert from 'node:assert/strict';
import { appendFileSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { hashFileAt, hashFileInSteps, readFileAt } from '../../../src/sync/hash-file.js';
import { ProjectTree } from '../../support/project-tree.js';

const MIB = 1024 * 1024;

for (const size of [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB]) {
  test(`hashes ${size} bytes`, () => {
    using tree = new ProjectTree();
    const content = Buffer.alloc(size, 'abcdefg');
    tree.write('f', content);
    const hashed = hashFileAt(tree.root, 'f');
    assert.equal(hashed?.size, size);
    assert.equal(hashed.digest, toDigest(hashBytes(content)));
    assert.equal(hashed.mode, 0o644);
  });
}

test('what is missing, a directory or a link is undefined', () => {
  using tree = new ProjectTree({ 'd/f': 'x' });
  symlinkSync('d/f', tree.at('link'));
  symlinkSync('d', tree.at('linked'));
  for (const path of ['nothing', 'd', 'link', 'nothing/f'])
    assert.equal(hashFileAt(tree.root, path), undefined, path);
  assert.throws(() => hashFileAt(tree.root, 'linked/f'), { code: 'ERR_RMTX_PATH_ESCAPES_ROOT' });
});

test('a file that grows while it is read is read again', () => {
  using tree = new ProjectTree();
  tree.write('f', Buffer.alloc(2 * MIB));
  const steps = hashFileInSteps(tree.root, 'f');
  steps.next();
  appendFileSync(tree.at('f'), 'more');
  const hashed = finish(steps);
  assert.equal(hashed?.size, 2 * MIB + 4);
  assert.equal(
    hashed.digest,
    toDigest(hashBytes(Buffer.concat([Buffer.alloc(2 * MIB), Buffer.from('more')]))),
  );
});

test('a file that never holds still gives what one reading saw, and is not trusted', () => {
  using tree = new ProjectTree();
  tree.write('f', Buffer.alloc(2 * MIB));
  utimesSync(tree.at('f'), 1, 1);
  let writes = 0;
  const steps = hashFileInSteps(tree.root, 'f');
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) {
      assert.equal(step.value?.signature.isRacy, true);
      assert.ok(step.value.size > 2 * MIB);
      break;
    }
    appendFileSync(tree.at('f'), 'x');
    writes += 1;
  }
  assert.ok(writes >= 3 && writes < 20, `read ${writes} pieces`);
});

test('a file that shrinks gives the bytes that are left', () => {
  using tree = new ProjectTree();
  tree.write('f', Buffer.alloc(3 * MIB));
  const steps = hashFileInSteps(tree.root, 'f');
  steps.next();
  truncateSync(tree.at('f'), 10);
  assert.equal(finish(steps)?.size, 10);
});

test('ended early, it leaves no descriptor open', () => {
  using tree = new ProjectTree();
  tree.write('f', Buffer.alloc(2 * MIB));
  const steps = hashFileInSteps(tree.root, 'f');
  steps.next();
  assert.equal(steps.return(undefined).done, true);
});

test('reads a small file whole, and refuses a larger one', () => {
  using tree = new ProjectTree({ f: 'text', empty: '' });
  const read = readFileAt(tree.root, 'f', 4);
  assert.ok(read !== undefined && read !== 'too-large');
  assert.equal(read.bytes.toString(), 'text');
  assert.equal(read.size, 4);
  assert.equal(readFileAt(tree.root, 'f', 3), 'too-large');
  assert.equal(readFileAt(tree.root, 'nothing', 3), undefined);
  writeFileSync(tree.at('f'), 'other');
  const empty = readFileAt(tree.root, 'empty', 0);
  assert.ok(empty !== undefined && empty !== 'too-large');
  assert.equal(empty.bytes.length, 0);
});

function finish<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
