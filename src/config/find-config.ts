import { lstatSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';
import { ancestors, gitFolderAt } from './git-folder.js';
import type { GitFolder } from './git-folder.js';
import { isInside, realPathIfExists } from './project-root.js';

/** Looked for in this order. */
export const CONFIG_NAMES = ['.rmtx.json', 'rmtx.json'] as const;
export const LOCAL_CONFIG_NAME = '.rmtx.local.json';

export interface FoundConfig {
  readonly configFile: string;
  /** Beside the config; it need not exist. */
  readonly localFile: string;
  /** The real path that mounts and patterns are relative to. */
  readonly projectRoot: string;
}

/**
 * Finds the config that governs `cwd`: the nearest above it, or the one that `configPath` names. A
 * linked git worktree that has none of its own takes the main worktree's at the same place, rooted at
 * the linked one. Undefined where there is none; nothing is read or checked yet.
 */
export function findConfig(options: {
  readonly cwd: string;
  readonly configPath?: string | undefined;
}): FoundConfig | undefined {
  if (options.configPath !== undefined)
    return namedConfig(path.resolve(options.cwd, options.configPath));
  // A working directory that was removed under us has no real path, and its parents no project of ours.
  const start = realPathIfExists(options.cwd);
  if (start === undefined) return undefined;
  for (const folder of ancestors(start)) {
    const configFile = configIn(folder);
    if (configFile !== undefined) return found(configFile, folder);
    const fromMain = configOfMainWorktree(gitFolderAt(folder), start);
    if (fromMain !== undefined) return fromMain;
  }
  return undefined;
}

function namedConfig(configFile: string): FoundConfig | undefined {
  const folder = realPathIfExists(path.dirname(configFile));
  return folder !== undefined && isThere(configFile) ? found(configFile, folder) : undefined;
}

/** Goes up the main worktree from the place that answers to `start`, and stops at its top. */
function configOfMainWorktree(git: GitFolder | undefined, start: string): FoundConfig | undefined {
  if (git?.mainWorktree === undefined) return undefined;
  for (const folder of ancestors(start)) {
    if (!isInside(folder, git.worktree)) return undefined;
    const configFile = configIn(path.join(git.mainWorktree, path.relative(git.worktree, folder)));
    if (configFile !== undefined) return found(configFile, folder);
  }
  return undefined;
}

function configIn(folder: string): string | undefined {
  return CONFIG_NAMES.map((name) => path.join(folder, name)).find(isThere);
}

/** A link to nothing counts: passing it over for a config further up would be a surprise. */
function isThere(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    // A folder above that may not be entered holds no config for us.
    if (['EACCES', 'EPERM', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}

function found(configFile: string, projectRoot: string): FoundConfig {
  const localFile = path.join(path.dirname(configFile), LOCAL_CONFIG_NAME);
  return { configFile, localFile, projectRoot };
}
