import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeJournal, encodeJournal } from '../../../src/client/apply/journal.js';
import type { Journal } from '../../../src/client/apply/journal.js';
import type { Operation } from '../../../src/client/apply/operations.js';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import type { FileEntry, SymlinkEntry, WorkspacePath } from '../../../src/sync/entry.js';
import { pathArbitrary } from '../../support/entries.js';

const plain = { noNullPrototype: true } as const;
const digest = fc.nat(50).map((seed) => toDigest(hashBytes(Buffer.from([seed]))));
const mode = fc.integer({ min: 0, max: 0o777 });
const size = fc.maxSafeInteger().map(Math.abs);
const time = fc.integer({ min: -(2 ** 51), max: 2 ** 51 });
const target = fc.constantFrom('x', '../a b', 'ü', '\udcff');
const fileBefore = fc.record(
  {
    kind: fc.constant('file' as const),
    mode,
    size,
    mtimeUs: time,
    ctimeUs: time,
    // Some file systems have inode numbers that a double holds only nearly.
    ino: fc.constantFrom(0, 17, 2 ** 40, 2 ** 60),
    isRacy: fc.boolean(),
    digest: fc.option(digest, { nil: undefined }),
  },
  plain,
);
const symlinkBefore = fc.record({ kind: fc.constant('symlink' as const), target }, plain);
const absent = fc.constant({ kind: 'absent' as const });
const staged = fc.record({ area: fc.nat(3), slot: fc.nat() }, plain);

function entryFor(path: WorkspacePath): fc.Arbitrary<FileEntry | SymlinkEntry> {
  return fc.oneof(
    fc.record(
      {
        kind: fc.constant('file' as const),
        path: fc.constant(path),
        mode,
        size,
        mtimeUs: time,
        digest,
      },
      plain,
    ),
    fc.record({ kind: fc.constant('symlink' as const), path: fc.constant(path), target }, plain),
  );
}

const operation: fc.Arbitrary<Operation> = pathArbitrary.chain((at) => {
  const path = fc.constant(at);
  const conflict = fc.constantFrom('edited-both', 'blocked', 'directory-not-empty');
  return fc.oneof(
    fc.record(
      { type: fc.constant('remove' as const), path, before: fc.oneof(fileBefore, symlinkBefore) },
      plain,
    ),
    fc.record({ type: fc.constant('remove-directory' as const), path, mode }, plain),
    fc.record({ type: fc.constant('make-directory' as const), path, mode }, plain),
    fc.record(
      {
        type: fc.constant('write' as const),
        path,
        before: fc.oneof(fileBefore, symlinkBefore, absent),
        entry: entryFor(at),
        isUnsent: fc.boolean(),
        staged,
      },
      plain,
    ),
    fc.record(
      {
        type: fc.constant('set-attributes' as const),
        path,
        isDirectory: fc.boolean(),
        before: fc.record({ mode, mtimeUs: time }, plain),
        mode,
        mtimeUs: fc.option(time, { nil: undefined }),
        content: fc.option(fc.record({ digest, size }, plain), { nil: undefined }),
      },
      plain,
    ),
    fc.record(
      {
        type: fc.constant('keep-beside' as const),
        path,
        conflict: conflict as fc.Arbitrary<'edited-both'>,
        entry: entryFor(at),
        staged,
      },
      plain,
    ),
  );
});

const journal: fc.Arbitrary<Journal> = fc.record(
  {
    runId: fc.constant('r1'),
    projectRoot: fc.constantFrom('/home/a b/\udcff', '/p'),
    stateDirectory: fc.constant('/s'),
    undoName: fc.constant('r1.00'),
    treeAreas: fc.array(pathArbitrary, { maxLength: 2 }),
    operations: fc.array(operation, { maxLength: 20 }),
  },
  plain,
);

test('a journal comes back as it was written', () => {
  fc.assert(
    fc.property(journal, (written) => {
      assert.deepEqual(decodeJournal(encodeJournal(written)), written);
    }),
    { numRuns: 200 },
  );
});

test('a journal that was cut or changed anywhere is refused', () => {
  fc.assert(
    fc.property(journal, fc.nat(), fc.integer({ min: 1, max: 255 }), (written, at, mask) => {
      const bytes = encodeJournal(written);
      const position = at % bytes.length;
      assert.throws(() => decodeJournal(bytes.subarray(0, position)), {
        code: 'ERR_RMTX_STATE_CORRUPT',
      });
      bytes[position] = (bytes[position] ?? 0) ^ mask;
      assert.throws(() => decodeJournal(bytes), { code: 'ERR_RMTX_STATE_CORRUPT' });
    }),
    { numRuns: 200 },
  );
});
