import type { EntryTable } from './entry-table.js';
import { parentOf } from './entry.js';
import type { WorkspacePath } from './entry.js';

export interface NameCollision {
  readonly first: WorkspacePath;
  readonly second: WorkspacePath;
}

/**
 * Finds two names in one directory that a file system without regard for case cannot hold side by side:
 * the second would be written over the first. Unicode's normal forms count as case, since macOS takes
 * them for the same as well.
 */
export function findNameCollision(table: EntryTable): NameCollision | undefined {
  // By depth, the directory that is being read there: in walk order none is come back to.
  const levels: { directory: string; names: Map<string, WorkspacePath> }[] = [];
  for (let row = 0; row < table.length; row++) {
    const path = table.path(row);
    const directory = parentOf(path);
    const depth = directory === '' ? 0 : directory.split('/').length;
    let level = levels[depth];
    if (level?.directory !== directory) levels[depth] = level = { directory, names: new Map() };
    const folded = fold(path.slice(path.lastIndexOf('/') + 1));
    const first = level.names.get(folded);
    if (first !== undefined) return { first, second: path };
    level.names.set(folded, path);
  }
  return undefined;
}

/** Up, then down: `ß` and `SS`, `ſ` and `s` meet only that way. */
function fold(name: string): string {
  return name.normalize('NFD').toUpperCase().toLowerCase();
}
