/**
 * Where git keeps what belongs to a folder, read from its files: starting git would cost more than the
 * rest of a config's reading. Nothing here writes.
 */
import { statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';
import { readFileIfExists } from '../util/atomic-file.js';

export interface GitFolder {
  /** The top of the working tree: the folder that holds `.git`. */
  readonly worktree: string;
  /** Shared by all worktrees; `info/exclude` and `config` lie here. */
  readonly commonDirectory: string;
  /** The main worktree, where this one is linked to it (`git worktree add`) and it has one. */
  readonly mainWorktree: string | undefined;
}

/** The repository that `directory` lies in, or undefined. Damaged `.git` files count as none. */
export function findGitFolder(directory: string): GitFolder | undefined {
  for (const folder of ancestors(directory)) {
    const found = gitFolderAt(folder);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The repository whose working tree has its top exactly here, or undefined. */
export function gitFolderAt(worktree: string): GitFolder | undefined {
  const dotGit = path.join(worktree, '.git');
  const stats = statIfExists(dotGit);
  if (stats?.isDirectory() === true)
    return isGitDirectory(dotGit)
      ? { worktree, commonDirectory: dotGit, mainWorktree: undefined }
      : undefined;
  return stats?.isFile() === true ? followGitFile(worktree, dotGit) : undefined;
}

/** The directory and each one above it, nearest first. */
export function* ancestors(directory: string): Generator<string> {
  let current = path.resolve(directory);
  for (;;) {
    yield current;
    const parent = path.dirname(current);
    if (parent === current) return;
    current = parent;
  }
}

/**
 * gitrepository-layout(5): a `.git` file says `gitdir: PATH`. A linked worktree's git directory has a
 * `commondir` file that names the shared one; a submodule's has none and is its own.
 */
function followGitFile(worktree: string, dotGit: string): GitFolder | undefined {
  const named = /^gitdir: (.+)$/m.exec(readText(dotGit) ?? '')?.[1];
  if (named === undefined) return undefined;
  const gitDirectory = path.resolve(worktree, named);
  const common = readText(path.join(gitDirectory, 'commondir'))?.trim();
  const commonDirectory =
    common === undefined || common === '' ? gitDirectory : path.resolve(gitDirectory, common);
  if (!isGitDirectory(commonDirectory)) return undefined;
  const isLinked = commonDirectory !== gitDirectory;
  // A bare repository has worktrees but no main one.
  const hasMain = isLinked && path.basename(commonDirectory) === '.git';
  return {
    worktree,
    commonDirectory,
    mainWorktree: hasMain ? path.dirname(commonDirectory) : undefined,
  };
}

function isGitDirectory(directory: string): boolean {
  return statIfExists(path.join(directory, 'HEAD')) !== undefined;
}

/** stat, or undefined where nothing is there or the way to it is closed. */
function statIfExists(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (isUnreachable(error)) return undefined;
    throw error;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileIfExists(file)?.toString('utf8');
  } catch (error) {
    if (isUnreachable(error)) return undefined;
    throw error;
  }
}

function isUnreachable(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'ENOTDIR', 'EISDIR', 'ELOOP'].includes(systemErrorCode(error) ?? '');
}
