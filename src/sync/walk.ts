/** Lists directories in walk order, with names as they are on disk, whatever bytes they hold. */
import { readdirSync } from 'node:fs';
import type { Dirent, Stats } from 'node:fs';
import { pathFromBytes } from '../util/path-bytes.js';

export type NameKind = 'file' | 'directory' | 'symlink' | 'special';

export interface DirectoryListing {
  /** Sorted by UTF-16 code units: see `comparePaths`. */
  readonly names: readonly string[];
  readonly kinds: readonly NameKind[];
  /** Some name here is not UTF-8, so its path must reach `fs` as bytes. */
  readonly hasRawNames: boolean;
}

/** Throws the system error where the directory is missing or cannot be read. */
export function listDirectory(directory: string | Buffer): DirectoryListing {
  const names: string[] = [];
  const others = new Map<string, NameKind>();
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const { name } = entry;
    // What is not UTF-8 was replaced by U+FFFD; a name that holds the real one is read twice, no more.
    if (name.includes('\uFFFD')) return listRawDirectory(directory);
    names.push(name);
    if (!entry.isFile()) others.set(name, kindOf(entry));
  }
  return toListing(names, others, false);
}

function listRawDirectory(directory: string | Buffer): DirectoryListing {
  const names: string[] = [];
  const others = new Map<string, NameKind>();
  for (const entry of readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })) {
    const name = pathFromBytes(entry.name);
    names.push(name);
    if (!entry.isFile()) others.set(name, kindOf(entry));
  }
  return toListing(names, others, true);
}

/** Names and kinds are sorted apart: without a comparison of ours that takes a third of the time. */
function toListing(
  names: string[],
  others: ReadonlyMap<string, NameKind>,
  hasRawNames: boolean,
): DirectoryListing {
  names.sort();
  const kinds =
    others.size === 0
      ? new Array<NameKind>(names.length).fill('file')
      : names.map((name) => others.get(name) ?? 'file');
  return { names, kinds, hasRawNames };
}

function kindOf(entry: Pick<Dirent, 'isDirectory' | 'isSymbolicLink'>): NameKind {
  if (entry.isDirectory()) return 'directory';
  return entry.isSymbolicLink() ? 'symlink' : 'special';
}

/** Whether what was looked at is still what its directory said; undefined: the directory did not say. */
export function isOfKind(stats: Stats, kind: NameKind | undefined): boolean {
  switch (kind) {
    case 'file':
      return stats.isFile();
    case 'directory':
      return stats.isDirectory();
    case 'symlink':
      return stats.isSymbolicLink();
    case 'special':
    case undefined:
      return true;
  }
}
