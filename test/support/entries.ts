/** Arbitrary manifests for fast-check, and the plain (slow, obvious) form to compare with. */
import fc from 'fast-check';
import { hashBytes, toDigest } from '../../src/store/digest.js';
import { EntryTableBuilder } from '../../src/sync/entry-table-builder.js';
import type { EntryTable } from '../../src/sync/entry-table.js';
import { comparePaths, parentOf } from '../../src/sync/entry.js';
import type { Entry, WorkspacePath } from '../../src/sync/entry.js';
import type { StatSignature } from '../../src/sync/stat-signature.js';
import { pathFromBytes } from '../../src/util/path-bytes.js';

/** Few and alike, so that trees collide; with what sorts unlike its bytes, and what is not UTF-8. */
const names = [
  'a',
  'b',
  'a.b',
  'ab',
  'A',
  ' lead',
  'trail ',
  'ü',
  '\uffee',
  '😀',
  'new\nline',
  pathFromBytes(Buffer.from([0x66, 0xff, 0x66])),
  pathFromBytes(Buffer.from([0xed, 0xb2, 0x80])),
];

export const nameArbitrary: fc.Arbitrary<string> = fc.constantFrom(...names);
export const pathArbitrary: fc.Arbitrary<WorkspacePath> = fc
  .array(nameArbitrary, { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/') as WorkspacePath);

/** Objects as the code under test makes them, so that strict equality holds. */
const PLAIN = { noNullPrototype: true } as const;

const modeArbitrary = fc.constantFrom(0o644, 0o755, 0o600, 0o000, 0o777);
const timeArbitrary = fc.oneof(
  fc.constantFrom(
    0,
    1,
    -1,
    1_700_000_000_123_456,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ),
  fc.maxSafeInteger(),
);
const sizeArbitrary = fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER));

export function entryArbitrary(path: fc.Arbitrary<WorkspacePath>): fc.Arbitrary<Entry> {
  const target = fc.oneof(
    nameArbitrary,
    fc.string({ minLength: 1, maxLength: 20 }).map((text) => text.replaceAll('\0', '0')),
  );
  return fc.oneof(
    fc.record(
      {
        kind: fc.constant('file' as const),
        path,
        mode: modeArbitrary,
        size: sizeArbitrary,
        mtimeUs: timeArbitrary,
        digest: fc.nat(5).map((seed) => toDigest(hashBytes(Buffer.of(seed)))),
      },
      PLAIN,
    ),
    fc.record({ kind: fc.constant('directory' as const), path, mode: modeArbitrary }, PLAIN),
    fc.record(
      {
        kind: fc.constant('symlink' as const),
        path,
        target,
      },
      PLAIN,
    ),
  );
}

const signatureArbitrary: fc.Arbitrary<StatSignature | undefined> = fc.option(
  fc.record(
    {
      ino: fc.nat(),
      mtimeUs: fc.maxSafeInteger(),
      ctimeUs: fc.maxSafeInteger(),
      isRacy: fc.boolean(),
    },
    PLAIN,
  ),
  { nil: undefined },
);

export interface SignedEntry {
  readonly entry: Entry;
  readonly signature: StatSignature | undefined;
}

/** Entries in walk order, no path twice; parents need not be there. */
export const entriesArbitrary: fc.Arbitrary<SignedEntry[]> = fc
  .uniqueArray(
    fc.record({ entry: entryArbitrary(pathArbitrary), signature: signatureArbitrary }, PLAIN),
    {
      selector: (row) => row.entry.path,
      maxLength: 40,
    },
  )
  .map((rows) => rows.sort((a, b) => comparePaths(a.entry.path, b.entry.path)));

/** As above, but each entry's parent is a directory entry: what a manifest is. */
export const treeArbitrary: fc.Arbitrary<Entry[]> = entriesArbitrary.map((rows) =>
  withParents(rows.map((row) => row.entry)),
);

/** Drops what lies below a file or link and adds the directories that are missing. */
export function withParents(entries: readonly Entry[]): Entry[] {
  const tree = new Map<string, Entry>();
  for (const entry of entries) {
    const parents: WorkspacePath[] = [];
    for (let path = parentOf(entry.path); path !== ''; path = parentOf(path))
      parents.unshift(path as WorkspacePath);
    const isBlocked = parents.some((path) => (tree.get(path)?.kind ?? 'directory') !== 'directory');
    if (isBlocked) continue;
    for (const path of parents)
      if (!tree.has(path)) tree.set(path, { kind: 'directory', path, mode: 0o755 });
    tree.set(entry.path, entry);
  }
  return [...tree.values()].sort((a, b) => comparePaths(a.path, b.path));
}

export function tableOf(entries: readonly Entry[]): EntryTable {
  const builder = new EntryTableBuilder();
  for (const entry of entries) builder.add(entry);
  return builder.build();
}

export function signedTableOf(rows: readonly SignedEntry[]): EntryTable {
  const builder = new EntryTableBuilder();
  for (const row of rows) builder.add(row.entry, row.signature);
  return builder.build();
}

export function entriesOf(table: EntryTable): Entry[] {
  return Array.from({ length: table.length }, (_, row) => table.entry(row));
}

export function rowsOf(table: EntryTable): SignedEntry[] {
  return Array.from({ length: table.length }, (_, row) => ({
    entry: table.entry(row),
    signature: table.signature(row),
  }));
}

/** A file entry whose content is `text`. */
export function fileEntry(
  path: string,
  text: string,
  more: { mode?: number; mtimeUs?: number } = {},
): Entry {
  const bytes = Buffer.from(text);
  return {
    kind: 'file',
    path: path as WorkspacePath,
    mode: more.mode ?? 0o644,
    size: bytes.length,
    mtimeUs: more.mtimeUs ?? 1_700_000_000_000_000,
    digest: toDigest(hashBytes(bytes)),
  };
}

export function directoryEntry(path: string, mode = 0o755): Entry {
  return { kind: 'directory', path: path as WorkspacePath, mode };
}

export function symlinkEntry(path: string, target: string): Entry {
  return { kind: 'symlink', path: path as WorkspacePath, target };
}
