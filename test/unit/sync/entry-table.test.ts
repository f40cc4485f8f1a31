import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { EntryTableBuilder } from '../../../src/sync/entry-table-builder.js';
import { loadEntryTable, saveEntryTable } from '../../../src/sync/entry-table-file.js';
import { EntryTable, isManifestId } from '../../../src/sync/entry-table.js';
import type { Entry, WorkspacePath } from '../../../src/sync/entry.js';
import { RACY_WINDOW_US, isRacyAt, signatureOf } from '../../../src/sync/stat-signature.js';
import { TableMerger, validateTable } from '../../../src/sync/table-changes.js';
import { nowUs } from '../../../src/util/microseconds.js';
import { directoryEntry, fileEntry, rowsOf, symlinkEntry, tableOf } from '../../support/entries.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'rmtx-entry-table-'));
after(() => rmSync(scratch, { recursive: true }));

describe('EntryTable', () => {
  test('counts files and bytes, and says what it has not', () => {
    const table = tableOf([directoryEntry('a'), fileEntry('a/x', '12345'), fileEntry('b', '67')]);
    assert.deepEqual([table.length, table.fileCount, table.totalBytes], [3, 2, 7]);
    assert.equal(table.indexOf('a/y'), -1);
    assert.equal(EntryTable.empty.indexOf('a'), -1);
    assert.equal(table.signature(1), undefined);
    assert.ok(isManifestId(table.manifestId));
    assert.ok(!isManifestId('manifest:12'));
  });

  test('names a manifest the same way in every version', () => {
    // An id is remembered by both sides between runs: changing the encoding makes every slot cold.
    assert.equal(
      tableOf([directoryEntry('d', 0o700), fileEntry('d/f', 'text'), symlinkEntry('l', 'd/f')])
        .manifestId,
      'manifest:a61a3f460f6b28e14ee1c034dfc79529790be5da67de10d4659ddfe939ba8e38',
    );
  });

  test('takes at most 200 bytes an entry at 250,000 entries', () => {
    const table = generated(250_000);
    const perEntry = memoryOf(table) / table.length;
    assert.ok(perEntry <= 200, `${perEntry} bytes an entry`);
    const row = table.indexOf('package-150/source/module-7.ts');
    assert.equal(table.path(row), 'package-150/source/module-7.ts');
  });

  test('refuses an entry that is not after the one before', () => {
    const builder = new EntryTableBuilder();
    builder.add(fileEntry('b', ''));
    assert.throws(() => builder.add(fileEntry('a', '')), /out of walk order/);
    assert.throws(() => builder.add(fileEntry('b', '')), /out of walk order/);
  });
});

describe('signatures', () => {
  test('match the file they were taken from until anything about it changes', () => {
    const file = path.join(scratch, 'file');
    writeFileSync(file, 'content', { mode: 0o644 });
    utimesSync(file, 1_600_000_000, 1_600_000_000);
    const entry = fileEntry('file', 'content');
    const later = nowUs() + 2 * RACY_WINDOW_US;
    const builder = new EntryTableBuilder();
    builder.add(entry, signatureOf(lstatSync(file), later));
    const table = builder.build();
    assert.ok(table.matches(0, lstatSync(file)));

    chmodSync(file, 0o600);
    assert.ok(!table.matches(0, lstatSync(file)));
    chmodSync(file, 0o644);
    assert.ok(!table.matches(0, lstatSync(file)), 'the ctime moved');
  });

  test('match a directory by its mode alone and a link by what it is', () => {
    const link = path.join(scratch, 'link');
    symlinkSync('anywhere', link);
    const builder = new EntryTableBuilder();
    builder.add(directoryEntry('d', lstatSync(scratch).mode & 0o777));
    builder.add(symlinkEntry('link', 'anywhere'), signatureOf(lstatSync(link), nowUs() + 1e6));
    const table = builder.build();
    assert.ok(table.matches(0, lstatSync(scratch)));
    assert.ok(!table.matches(0, lstatSync(link)));
    assert.ok(table.matches(1, lstatSync(link)));
  });

  test('prove nothing when they are racy', () => {
    const file = path.join(scratch, 'racy');
    writeFileSync(file, '');
    const stats = lstatSync(file);
    const builder = new EntryTableBuilder();
    builder.add(fileEntry('racy', '', { mode: stats.mode & 0o777 }), signatureOf(stats, nowUs()));
    assert.equal(builder.build().matches(0, stats), false);
  });

  test('are racy within the window, and while the change lies in the future', () => {
    const at = (mtimeUs: number, ctimeUs: number): boolean =>
      isRacyAt(1_000_000_000, { mtimeUs, ctimeUs });
    assert.equal(at(0, 1_000_000_000 - RACY_WINDOW_US), false);
    assert.equal(at(0, 1_000_000_000 - RACY_WINDOW_US + 1), true);
    assert.equal(at(0, 2_000_000_000), true);
    assert.equal(at(1_000_000_000 + RACY_WINDOW_US - 1, 0), true);
    assert.equal(at(2_000_000_000, 0), false);
  });
});

describe('entry table files', () => {
  test('load what was saved, and nothing where there is none', () => {
    const file = path.join(scratch, 'index');
    const builder = new EntryTableBuilder();
    builder.add(fileEntry('a', 'x'), { ino: 1, mtimeUs: 2, ctimeUs: 3, isRacy: true });
    builder.add(fileEntry('b', 'y'));
    const table = builder.build();
    saveEntryTable(file, table);
    const loaded = loadEntryTable(file);
    assert.ok(loaded);
    assert.deepEqual(rowsOf(loaded), rowsOf(table));
    assert.equal(loadEntryTable(path.join(scratch, 'none')), undefined);
  });

  test('count as none where any byte is damaged or missing', () => {
    const file = path.join(scratch, 'damaged');
    saveEntryTable(file, tableOf([fileEntry('a', 'x')]));
    const bytes = readFileSync(file);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      writeFileSync(file, damaged);
      assert.equal(loadEntryTable(file), undefined, `byte ${at}`);
    }
    for (const length of [0, 1, 87, bytes.length - 1]) {
      writeFileSync(file, bytes.subarray(0, length));
      assert.equal(loadEntryTable(file), undefined, `${length} bytes`);
    }
    writeFileSync(file, bytes);
    assert.equal(loadEntryTable(file)?.length, 1);
  });
});

describe('TableMerger', () => {
  test('refuses changes out of walk order', () => {
    const merger = new TableMerger(EntryTable.empty);
    merger.push({ type: 'upsert', entry: fileEntry('a/b', '') });
    assert.throws(() => merger.push({ type: 'delete', path: 'a' as WorkspacePath }), {
      code: 'ERR_RMTX_BAD_MESSAGE',
    });
  });

  test('hands back the very table when nothing changes', () => {
    const table = tableOf([fileEntry('a', '')]);
    assert.equal(new TableMerger(table).finish(), table);
  });
});

describe('validateTable', () => {
  const refused: [string, Entry[]][] = [
    ['no parent at all', [fileEntry('a/b', '')]],
    ['a link as parent', [symlinkEntry('a', '/etc'), fileEntry('a/passwd', '')]],
    ['a file as parent', [fileEntry('a', ''), fileEntry('a/b', '')]],
    ['a parent that only looks like one', [directoryEntry('a'), fileEntry('ab/c', '')]],
    ['a grandparent only', [directoryEntry('a'), fileEntry('a/b/c', '')]],
  ];
  for (const [title, entries] of refused)
    test(`refuses ${title}`, () => {
      assert.throws(() => validateTable(tableOf(entries)), {
        code: 'ERR_RMTX_BAD_MESSAGE',
        message: new RegExp(entries.at(-1)?.path ?? ''),
      });
    });
});

/** Bytes of all the memory that the columns lie in, room to spare included. */
function memoryOf(table: EntryTable): number {
  const memory = new Set<ArrayBufferLike>();
  for (const column of Object.values(table.columns) as unknown[])
    if (ArrayBuffer.isView(column)) memory.add(column.buffer);
  return [...memory].reduce((total, buffer) => total + buffer.byteLength, 0);
}

function generated(count: number): EntryTable {
  const builder = new EntryTableBuilder();
  const template = fileEntry('template', 'x') as Extract<Entry, { kind: 'file' }>;
  const folders = Math.ceil(count / 500);
  const names = Array.from({ length: 500 }, (_, index) => `module-${index}.ts`).sort();
  const packages = Array.from({ length: folders }, (_, index) => `package-${index}`).sort();
  for (const folder of packages)
    for (const name of names) {
      const entryPath = `${folder}/source/${name}` as WorkspacePath;
      builder.add(
        { ...template, path: entryPath },
        { ino: 1, mtimeUs: 1, ctimeUs: 1, isRacy: false },
      );
    }
  return builder.build();
}
