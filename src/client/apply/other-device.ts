/**
 * The same steps where a link or a rename cannot reach: the copy is made beside the target under a name
 * of ours, then renamed. The name is known from the operation, so recovery finds what a crash left.
 */
import { closeSync, linkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { systemErrorCode } from '../../errors.js';
import { parentOf } from '../../sync/entry.js';
import { toFsPath } from '../../util/path-bytes.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { copyWithAttributes } from './copy-file.js';
import { readUndoTarget, tryLink } from './workbench.js';
import type { StagedContent, Workbench } from './workbench.js';

/** Copies staged content to beside `path`; returns where. */
export function copyOutOfStage(
  bench: Workbench,
  { entry, staged }: StagedContent,
  path: string,
): string {
  const temporary = temporaryFor(bench, path, `${staged.area}-${staged.slot}`);
  rmSync(bench.root.at(temporary), { force: true });
  if (entry.kind === 'symlink') symlinkSync(toFsPath(entry.target), bench.root.at(temporary));
  else copyOpen(bench.area(staged.area).openFile(staged.slot), bench.root.at(temporary));
  return temporary;
}

/** Copies what was displaced to beside `path`; returns where. */
export function copyOutOfUndo(bench: Workbench, path: string, number: number): string {
  const temporary = temporaryFor(bench, path, `undo-${number}`);
  rmSync(bench.root.at(temporary), { force: true });
  const target = readUndoTarget(bench.undo, number);
  if (target !== undefined) symlinkSync(toFsPath(target), bench.root.at(temporary));
  else copyOpen(bench.undo.openFile(number), bench.root.at(temporary));
  return temporary;
}

/** Copies the file at `path` into the undo directory; it appears there when it is whole. */
export function copyIntoUndo({ root, undo }: Workbench, path: string, number: number): void {
  const part = `${number}.part`;
  rmSync(undo.at(part), { force: true });
  copyOpen(root.openFile(path), undo.at(part));
  renameSync(undo.at(part), undo.at(number));
}

/** Renames within one directory of the tree, over whatever is there. */
export function renameBeside(root: AnchoredRoot, from: string, to: string): void {
  // Entering the same directory a second time keeps it open, so the first path stays good.
  const source = root.at(from);
  renameSync(source, root.at(to));
}

/** As {@link renameBeside}; false, and `from` is gone, where something is at `to`. */
export function renameBesideIfFree(root: AnchoredRoot, from: string, to: string): boolean {
  const source = root.at(from);
  const code = tryLink(() => linkSync(source, root.at(to)));
  if (code === undefined || code === 'EEXIST') {
    rmSync(root.at(from));
    return code === undefined;
  }
  if (root.lstat(to) !== undefined) {
    rmSync(root.at(from));
    return false;
  }
  renameBeside(root, from, to);
  return true;
}

/** Removes what a crash may have left of the copies for this content and this operation. */
export function removeTemporaries(
  bench: Workbench,
  path: string,
  { staged, number }: { readonly staged: StagedContent['staged']; readonly number: number },
): void {
  for (const name of [`${staged.area}-${staged.slot}`, `undo-${number}`]) {
    try {
      rmSync(bench.root.at(temporaryFor(bench, path, name)), { force: true });
    } catch (error) {
      // The directory is gone or was replaced, and the copy with it.
      if (systemErrorCode(error) !== 'ENOENT') return;
    }
  }
}

function temporaryFor({ temporaryName }: Workbench, path: string, name: string): string {
  const parent = parentOf(path);
  return `${parent === '' ? '' : `${parent}/`}${temporaryName}.${name}`;
}

function copyOpen(source: number | undefined, target: string | Buffer): void {
  // Vanished since it was looked at: as if the next step had failed on it.
  if (source === undefined) throw Object.assign(new Error('the file is gone'), { code: 'ENOENT' });
  try {
    copyWithAttributes(source, target);
  } finally {
    closeSync(source);
  }
}
