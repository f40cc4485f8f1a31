/**
 * File systems for which two different names are the same file, by letter case or by Unicode form. That
 * shows without knowing the file system: something is found under a name that no listing has.
 */
import { parentOf } from '../../sync/entry.js';
import type { CheckedChange } from './check-changes.js';

/** The names in a directory as the file system has them. */
export type ListNames = (directory: string) => readonly string[];

/** The message of a problem. */
export const NAME_COLLISION = 'this file system cannot tell its name from that of another file';

/** Names with the same key may be the same file. Rather too equal than too different. */
function foldPath(path: string): string {
  return path.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

/** True when a path at which something was found has exactly this spelling on disk. */
export function hasExactName(path: string, listNames: ListNames): boolean {
  return inexactPrefix(path, listNames) === undefined;
}

/** The highest parent of `path`, or the path itself, that is spelled differently on disk. */
function inexactPrefix(path: string, listNames: ListNames): string | undefined {
  let inexact: string | undefined;
  for (let at = path; at !== ''; at = parentOf(at)) {
    const name = at.slice(at.lastIndexOf('/') + 1);
    if (!listNames(parentOf(at)).includes(name)) inexact = at;
  }
  return inexact;
}

export class NameTwins {
  readonly #changes: readonly CheckedChange[];
  readonly #listNames: ListNames;
  #leaving: Set<string> | undefined;

  constructor(changes: readonly CheckedChange[], listNames: ListNames) {
    this.#changes = changes;
    // A folder of many new files that are here, too, would be listed for each of them.
    const listings = new Map<string, readonly string[]>();
    this.#listNames = (directory) => {
      const known = listings.get(directory) ?? listNames(directory);
      listings.set(directory, known);
      return known;
    };
  }

  /**
   * What it is that was found at a new path: the path itself (undefined), another file, or one that
   * this very change set deletes: then the file, or a directory above it, only changed its spelling.
   */
  find(path: string): 'other-file' | 'leaving' | undefined {
    const inexact = inexactPrefix(path, this.#listNames);
    if (inexact === undefined) return undefined;
    this.#leaving ??= new Set(
      this.#changes.flatMap((change) =>
        change.theirs === undefined ? [foldPath(change.path)] : [],
      ),
    );
    const isLeaving = [path, inexact].some((one) => this.#leaving?.has(foldPath(one)) === true);
    return isLeaving ? 'leaving' : 'other-file';
  }
}
