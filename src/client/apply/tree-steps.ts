/**
 * The single steps that change the tree. Each leaves the path with the old or with the new content and
 * never without any; what is displaced is in the undo directory before it leaves its place. All can be
 * done again after a crash in the middle.
 */
import { lchownSync, linkSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../../errors.js';
import type { WorkspacePath } from '../../sync/entry.js';
import { toFsPath } from '../../util/path-bytes.js';
import { isSameVersion, look } from './observe.js';
import type { StagedAt } from './operations.js';
import {
  copyIntoUndo,
  copyOutOfUndo,
  copyOutOfStage,
  renameBeside,
  renameBesideIfFree,
} from './other-device.js';
import { readUndoTarget, tryLink } from './workbench.js';
import type { StagedContent, Workbench } from './workbench.js';

/** Puts staged content at a path where nothing is; false, and nothing changed, where something is. */
export function placeNew(bench: Workbench, content: StagedContent, path: WorkspacePath): boolean {
  const { root } = bench;
  const { area: number, slot } = content.staged;
  const area = bench.area(number);
  if (content.entry.kind === 'symlink') {
    try {
      symlinkSync(toFsPath(content.entry.target), root.at(path));
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') return false;
      throw error;
    }
    rmSync(area.at(slot), { force: true });
    return true;
  }
  const code = tryLink(() => linkSync(area.at(slot), root.at(path)));
  if (code === 'EEXIST') return false;
  if (code === 'EXDEV') {
    const isPlaced = renameBesideIfFree(root, copyOutOfStage(bench, content, path), path);
    if (isPlaced) unlinkSync(area.at(slot));
    return isPlaced;
  }
  if (code !== undefined) {
    if (root.lstat(path) !== undefined) return false;
    renameSync(area.at(slot), root.at(path));
    return true;
  }
  unlinkSync(area.at(slot));
  return true;
}

/** Puts staged content in the place of a file or link that is safe in the undo directory. */
export function replace(bench: Workbench, content: StagedContent, path: WorkspacePath): void {
  const { root } = bench;
  const area = bench.area(content.staged.area);
  try {
    renameSync(area.at(content.staged.slot), root.at(path));
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    renameBeside(root, copyOutOfStage(bench, content, path), path);
    rmSync(area.at(content.staged.slot), { force: true });
  }
}

/**
 * Makes the file at `path` safe in the undo directory without moving it: a link where that is possible.
 * The link shows edits that are made through an open descriptor meanwhile.
 */
export function keepOld(bench: Workbench, path: WorkspacePath, number: number): void {
  const { root, undo } = bench;
  const link = (): void => linkSync(root.at(path), undo.at(number));
  let code = tryLink(link);
  if (code === 'EEXIST') {
    // From before a crash. It is right only if it is this very file.
    if (undo.lstat(number)?.ino === root.lstat(path)?.ino) return;
    rmSync(undo.at(number));
    code = tryLink(link);
  }
  if (code !== undefined) copyIntoUndo(bench, path, number);
}

/** Makes a link's target safe in the undo directory. */
export function keepOldTarget(bench: Workbench, target: string, number: number): void {
  rmSync(bench.undo.at(number), { force: true });
  symlinkSync(toFsPath(target), bench.undo.at(number));
}

/**
 * Moves what is at `path`, a file or link that `seen` describes, into the undo directory. False where it
 * changed in the last moment: then it is back in its place.
 */
export function takeAway(
  bench: Workbench,
  path: WorkspacePath,
  { number, seen, target }: { number: number; seen: Stats; target: string | undefined },
): boolean {
  const { root, undo } = bench;
  try {
    renameSync(root.at(path), undo.at(number));
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    if (target !== undefined) keepOldTarget(bench, target, number);
    else copyIntoUndo(bench, path, number);
    const now = look(root, path);
    if (now === undefined || now === 'blocked' || !isSameVersion(now, seen)) return false;
    unlinkSync(root.at(path));
    return true;
  }
  const moved = undo.lstat(number);
  if (moved === undefined || isSameVersion(moved, seen)) return true;
  putBackIfFree(bench, path, number);
  return false;
}

/** Moves the old content from the undo directory over whatever is at `path`, in one step. */
export function putBack(bench: Workbench, path: WorkspacePath, number: number): void {
  const { root, undo } = bench;
  try {
    renameSync(undo.at(number), root.at(path));
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    renameBeside(root, copyOutOfUndo(bench, path, number), path);
    rmSync(undo.at(number));
  }
}

/** As {@link putBack}, but false where something is at `path`, which then stays. */
export function putBackIfFree(bench: Workbench, path: WorkspacePath, number: number): boolean {
  const { root, undo } = bench;
  if (root.lstat(path) !== undefined) return false;
  const target = readUndoTarget(undo, number);
  const code = tryLink(() => {
    // A hard link to a link is one to its target on macOS.
    if (target !== undefined) symlinkSync(toFsPath(target), root.at(path));
    else linkSync(undo.at(number), root.at(path));
  });
  if (code === 'EEXIST') return false;
  if (code === undefined) rmSync(undo.at(number));
  else putBack(bench, path, number);
  return true;
}

/** Gives the file at `path` a second name; false where that is taken. */
export function linkInTree(
  { root }: Workbench,
  path: WorkspacePath,
  other: WorkspacePath,
): boolean {
  // The two lie in the same directory, so entering it again keeps the first path good.
  const source = root.at(path);
  const code = tryLink(() => linkSync(source, root.at(other)));
  if (code !== undefined && code !== 'EEXIST')
    throw Object.assign(new Error(`cannot link (${code})`), { code });
  return code === undefined;
}

/**
 * Gives staged content the owner and group of what it replaces, or the group that its directory hands
 * on, as writing in place would have left them. Does what this user may do, and no more.
 */
export function takeOwner(
  bench: Workbench,
  staged: StagedAt,
  like: { readonly uid: number; readonly gid: number },
): void {
  const [user, group] = [process.geteuid?.(), process.getegid?.()];
  if (user === undefined || group === undefined || (like.uid === user && like.gid === group))
    return;
  for (const owner of [like.uid, user]) {
    try {
      lchownSync(bench.area(staged.area).at(staged.slot), owner, like.gid);
      return;
    } catch (error) {
      if (systemErrorCode(error) !== 'EPERM') throw error;
    }
  }
}
