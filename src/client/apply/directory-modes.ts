/**
 * Modes of directories around the work in them: a read-only directory of ours is opened first and
 * closed again last, and a new mode is set when nothing more is to be done inside.
 */
import { comparePaths } from '../../sync/entry.js';
import type { WorkspacePath } from '../../sync/entry.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { look } from './observe.js';
import type { SetAttributes } from './operations.js';

/** What its owner needs to make, rename and remove entries. */
const OPEN_BITS = 0o300;

export class DirectoryModes {
  readonly #finalModes = new Map<string, { from: number; to: number }>();

  /** The directory has mode `from` and shall end with mode `to`. */
  set(path: WorkspacePath, from: number, to: number): void {
    this.#finalModes.set(path, { from, to });
  }

  /** The operations before and after all work in the `touched` directories. */
  operations(
    root: AnchoredRoot,
    touched: ReadonlySet<string>,
  ): { opening: SetAttributes[]; closing: SetAttributes[] } {
    const opening: SetAttributes[] = [];
    for (const path of touched) {
      const mode = closedMode(root, path);
      if (mode === undefined) continue;
      const open = mode | 0o700;
      opening.push(change(path, mode, open));
      this.#finalModes.set(path, { from: open, to: this.#finalModes.get(path)?.to ?? mode });
    }
    const closing = [...this.#finalModes].map(([path, { from, to }]) => change(path, from, to));
    return {
      opening: opening.sort((a, b) => comparePaths(a.path, b.path)),
      closing: closing.sort((a, b) => comparePaths(b.path, a.path)),
    };
  }
}

/** The mode of a directory in which its owner, who we are, cannot work; undefined for any other. */
function closedMode(root: AnchoredRoot, path: string): number | undefined {
  const user = process.geteuid?.();
  // To root, and on Windows, these bits mean nothing. The project's own root is the user's to open.
  if (user === undefined || user === 0 || path === '') return undefined;
  const stats = look(root, path);
  if (stats === undefined || stats === 'blocked' || !stats.isDirectory()) return undefined;
  return stats.uid === user && (stats.mode & OPEN_BITS) !== OPEN_BITS
    ? stats.mode & 0o777
    : undefined;
}

function change(path: string, from: number, to: number): SetAttributes {
  return {
    type: 'set-attributes',
    path: path as WorkspacePath,
    isDirectory: true,
    before: { mode: from, mtimeUs: 0 },
    mode: to,
    mtimeUs: undefined,
    content: undefined,
  };
}
