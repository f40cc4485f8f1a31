import { appendFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';
import { readFileIfExists } from '../util/atomic-file.js';
import { LOCAL_CONFIG_NAME } from './find-config.js';
import { findGitFolder } from './git-folder.js';

export type ExcludeOutcome = 'added' | 'present' | 'no-repository' | 'not-writable';

/**
 * Has git ignore `.rmtx.local.json`, through the repository's own `info/exclude`: nobody else's checkout
 * changes. Worktrees share that file. It is a courtesy, so a repository that cannot be written is an
 * outcome and no error.
 */
export function excludeLocalConfig(directory: string): ExcludeOutcome {
  const git = findGitFolder(directory);
  if (git === undefined) return 'no-repository';
  const file = path.join(git.commonDirectory, 'info', 'exclude');
  try {
    const text = readFileIfExists(file)?.toString('utf8') ?? '';
    const lines = text.split('\n').map((line) => line.trim());
    if (lines.includes(LOCAL_CONFIG_NAME)) return 'present';
    mkdirSync(path.dirname(file), { recursive: true });
    // One append, as `echo >>` does it: nothing that others wrote meanwhile is lost.
    const gap = text === '' || text.endsWith('\n') ? '' : '\n';
    appendFileSync(file, `${gap}${LOCAL_CONFIG_NAME}\n`);
    return 'added';
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(systemErrorCode(error) ?? ''))
      return 'not-writable';
    throw error;
  }
}
