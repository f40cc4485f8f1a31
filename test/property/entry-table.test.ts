import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ChangeDecoder, encodeChange } from '../../src/sync/change-codec.js';
import { decodeEntryTable, encodeEntryTable } from '../../src/sync/entry-table-file.js';
import { EntryTableBuilder } from '../../src/sync/entry-table-builder.js';
import { comparePaths, sameEntry } from '../../src/sync/entry.js';
import type { Entry, ManifestChange, WorkspacePath } from '../../src/sync/entry.js';
import {
  TableMerger,
  diffRows,
  diffTables,
  encodeDiff,
  validateSteps,
  validateTable,
} from '../../src/sync/table-changes.js';
import { ByteWriter } from '../../src/util/bytes.js';
import {
  entriesArbitrary,
  entriesOf,
  fileEntry,
  rowsOf,
  signedTableOf,
  symlinkEntry,
  tableOf,
  treeArbitrary,
} from '../support/entries.js';
import type { SignedEntry } from '../support/entries.js';

const changesArbitrary = fc
  .tuple(entriesArbitrary, entriesArbitrary)
  .map(([a, b]) => [...diffTables(signedTableOf(a), signedTableOf(b))]);

describe('entry table', () => {
  test('gives back the rows it was built from, each by its path', () => {
    fc.assert(
      fc.property(entriesArbitrary, (rows) => {
        const table = signedTableOf(rows);
        assert.deepEqual(rowsOf(table), rows);
        for (const [row, { entry }] of rows.entries()) assert.equal(table.indexOf(entry.path), row);
        const paths = rows.map((row) => row.entry.path);
        for (const path of ['a', 'a/b', 'zz', 'ü/a'])
          assert.equal(
            table.indexOf(path),
            paths.findIndex((known) => known === path),
          );
      }),
    );
  });

  test('turns into another by the changes between the two', () => {
    fc.assert(
      fc.property(entriesArbitrary, entriesArbitrary, (before, after) => {
        const [base, next] = [signedTableOf(before), signedTableOf(after)];
        const merged = merge(base, diffTables(base, next));
        assert.deepEqual(entriesOf(merged), entriesOf(next));
        assert.equal(merged.manifestId, next.manifestId);
        assert.deepEqual(rowsOf(merged), expectedSignatures(before, after));
      }),
    );
  });

  test('does so also where long runs of rows are the same', () => {
    const many = Array.from({ length: 1500 }, (_, index) =>
      fileEntry(`f${String(index).padStart(5, '0')}`, String(index)),
    );
    const editArbitrary = fc.record({
      row: fc.nat(many.length - 1),
      what: fc.constantFrom('drop', 'add', 'touch', 'chmod', 'link'),
    });
    fc.assert(
      fc.property(fc.array(editArbitrary, { maxLength: 6 }), (edits) => {
        const edited = new Map(many.map((entry) => [entry.path, entry]));
        for (const { row, what } of edits) editOne(edited, many[row]!, what);
        const after = [...edited.values()].sort((a, b) => comparePaths(a.path, b.path));
        const [base, next] = [tableOf(many), tableOf(after)];
        const expected = new Set(
          [
            ...many.filter((entry) => !edited.has(entry.path)),
            ...after.filter(
              (entry) => !many.some((old) => sameEntry(old, entry) && old.path === entry.path),
            ),
          ].map((entry) => entry.path),
        );
        const changes = [...diffTables(base, next)];
        assert.equal(changes.length, expected.size);
        assert.deepEqual(entriesOf(merge(base, changes)), after);
      }),
      { numRuns: 20 },
    );
  });

  test('has the same id exactly when its entries are the same', () => {
    fc.assert(
      fc.property(entriesArbitrary, entriesArbitrary, (before, after) => {
        const [base, next] = [signedTableOf(before), signedTableOf(after)];
        const isSame = [...diffTables(base, next)].length === 0;
        assert.equal(base.manifestId === next.manifestId, isSame);
      }),
    );
  });

  test('survives the way to disk and back, signatures included', () => {
    fc.assert(
      fc.property(entriesArbitrary, fc.nat(9), (rows, shift) => {
        const table = signedTableOf(rows);
        const bytes = Buffer.concat([Buffer.alloc(shift), ...encodeEntryTable(table)]);
        const loaded = decodeEntryTable(bytes.subarray(shift));
        assert.deepEqual(rowsOf(loaded), rows);
        assert.equal(loaded.manifestId, tableOf(entriesOf(loaded)).manifestId);
        assert.deepEqual(
          [loaded.totalBytes, loaded.fileCount],
          [table.totalBytes, table.fileCount],
        );
      }),
    );
  });

  test('is refused when a byte of its file changed or is missing', () => {
    fc.assert(
      fc.property(
        entriesArbitrary,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (rows, at, flip) => {
          const bytes = Buffer.concat(encodeEntryTable(signedTableOf(rows)));
          const position = at % bytes.length;
          const cut = bytes.subarray(0, position);
          assert.throws(() => decodeEntryTable(cut), { code: 'ERR_RMTX_STATE_CORRUPT' });
          bytes[position] = (bytes[position] ?? 0) ^ flip;
          assert.throws(() => decodeEntryTable(bytes), { code: 'ERR_RMTX_STATE_CORRUPT' });
        },
      ),
    );
  });

  test('copies rows of another table one by one or in runs with the same result', () => {
    fc.assert(
      fc.property(entriesArbitrary, fc.array(fc.boolean()), (rows, picks) => {
        const table = signedTableOf(rows);
        const kept = rows.filter((_, row) => picks[row] ?? true);
        const builder = new EntryTableBuilder();
        for (let row = 0; row < table.length; row++)
          if (picks[row] ?? true) builder.copy(table, row);
        assert.deepEqual(rowsOf(builder.build()), kept);
      }),
    );
  });

  test('is judged by what differs as it is judged whole', () => {
    fc.assert(
      fc.property(treeArbitrary, entriesArbitrary, (before, after) => {
        const [base, next] = [tableOf(before), signedTableOf(after)];
        const judge = (validate: () => void): boolean => {
          try {
            validate();
            return true;
          } catch {
            return false;
          }
        };
        const steps = [...diffRows(base, next)];
        assert.equal(
          judge(() => validateSteps(base, next, steps)),
          judge(() => validateTable(next)),
        );
      }),
    );
  });

  test('accepts every tree and refuses one with a parent taken away', () => {
    fc.assert(
      fc.property(treeArbitrary, fc.nat(), (entries, pick) => {
        validateTable(tableOf(entries));
        const parents = entries.filter((entry) =>
          entries.some((other) => other.path.startsWith(`${entry.path}/`)),
        );
        const victim = parents[pick % Math.max(1, parents.length)];
        if (victim === undefined) return;
        const whole = tableOf(entries);
        const without = tableOf(entries.filter((entry) => entry !== victim));
        const steps = [...diffRows(whole, without)];
        assert.throws(() => validateSteps(whole, without, steps), { code: 'ERR_RMTX_BAD_MESSAGE' });
        assert.throws(() => validateTable(without), { code: 'ERR_RMTX_BAD_MESSAGE' });
      }),
    );
  });
});

describe('change records', () => {
  test('survive any split of the byte stream', () => {
    fc.assert(
      fc.property(changesArbitrary, fc.array(fc.integer({ min: 1, max: 40 })), (changes, cuts) => {
        const bytes = encodeAll(changes);
        const decoder = new ChangeDecoder();
        const decoded: ManifestChange[] = [];
        let position = 0;
        for (const cut of cuts) {
          decoded.push(...decoder.push(bytes.subarray(position, position + cut)));
          position += cut;
        }
        decoded.push(...decoder.push(bytes.subarray(position)));
        decoder.end();
        assert.deepEqual(decoded, changes);
      }),
    );
  });

  test('are the same bytes when they come straight from two tables', () => {
    fc.assert(
      fc.property(entriesArbitrary, entriesArbitrary, (before, after) => {
        const [base, next] = [signedTableOf(before), signedTableOf(after)];
        const straight = Buffer.concat([...encodeDiff(base, next)]);
        assert.deepEqual(straight, encodeAll([...diffTables(base, next)]));
      }),
    );
  });

  test('never make the decoder throw anything but a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), changesArbitrary, (noise, changes) => {
        const bytes = Buffer.concat([encodeAll(changes.slice(0, 2)), noise]);
        try {
          const decoder = new ChangeDecoder();
          decoder.push(bytes);
          decoder.end();
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'ERR_RMTX_BAD_MESSAGE');
        }
      }),
    );
  });
});

function editOne(tree: Map<string, Entry>, entry: Entry, what: string): void {
  if (what === 'drop') tree.delete(entry.path);
  else if (what === 'add')
    tree.set(`${entry.path}x`, { ...entry, path: `${entry.path}x` as WorkspacePath });
  else if (what === 'touch')
    tree.set(entry.path, { ...fileEntry(entry.path, 'new'), mtimeUs: 1 } as Entry);
  else if (what === 'chmod') tree.set(entry.path, fileEntry(entry.path, 'new', { mode: 0o600 }));
  else tree.set(entry.path, symlinkEntry(entry.path, 'x'));
}

function encodeAll(changes: readonly ManifestChange[]): Buffer {
  const writer = new ByteWriter();
  for (const change of changes) encodeChange(writer, change);
  return writer.take();
}

function merge(
  base: ReturnType<typeof tableOf>,
  changes: Iterable<ManifestChange>,
): ReturnType<typeof tableOf> {
  const merger = new TableMerger(base);
  for (const change of changes) merger.push(change);
  return merger.finish();
}

/** What did not change keeps the signature it had; what did has none. */
function expectedSignatures(
  before: readonly SignedEntry[],
  after: readonly SignedEntry[],
): SignedEntry[] {
  return after.map(({ entry }) => {
    const old = before.find((row) => row.entry.path === entry.path);
    const isKept = old !== undefined && sameEntry(old.entry, entry);
    return isKept ? old : { entry, signature: undefined };
  });
}
