/**
 * Finds what git ignores by outside the project's own tree: the user's file, info/exclude of the
 * repository, and .gitignore files above a project that is a folder of a larger repository. The
 * .gitignore files within the project are found by the scan.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathFromBytes } from '../util/path-bytes.js';
import { expandGitPath, gitBoolean, readGitConfig } from './git-config.js';
import type { GitConfig } from './git-config.js';
import type { GitignoreSource } from './gitignore.js';

export interface GitSources {
  /** Lowest priority first: what {@link RuleSources.gitignore} begins with. */
  readonly gitignore: readonly GitignoreSource[];
  /** core.ignoreCase. */
  readonly isCaseInsensitive: boolean;
}

interface Repository {
  /** The top of this worktree. */
  readonly top: string;
  /** Of this worktree. */
  readonly gitDirectory: string;
  /** Shared by all worktrees; the same where there is only one. */
  readonly commonDirectory: string;
}

/** Larger ones are not read: no file that a person wrote is. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** A system where names differ by case only where git is told so. */
const IGNORES_CASE = process.platform === 'darwin' || process.platform === 'win32';

/**
 * Reads a handful of small files, never fails: what cannot be read says nothing, as with git.
 * `projectRoot` is absolute, with links resolved. Outside a repository the user's file still counts.
 */
export function findGitSources(
  projectRoot: string,
  env: NodeJS.ProcessEnv = process.env,
): GitSources {
  const home = env['HOME'] ?? os.homedir();
  const repository = findRepository(projectRoot);
  const config = readConfig(repository, home, env);
  const top = repository?.top ?? projectRoot;
  const gitignore: GitignoreSource[] = [];
  const prefix = path.relative(top, projectRoot).split(path.sep).join('/');
  const add = (file: string, fromTop: string): void => {
    const text = readText(file);
    if (text === undefined || text === '') return;
    const rest = fromTop === '' ? {} : { prefix: fromTop };
    gitignore.push({ directory: '', source: file, text, ...rest });
  };
  const personal = personalFile({ config, top, home, env });
  if (personal !== undefined) add(personal, prefix);
  if (repository !== undefined)
    add(path.join(repository.commonDirectory, 'info', 'exclude'), prefix);
  const above = prefix === '' ? [] : prefix.split('/');
  for (const [index] of above.entries()) {
    const file = path.join(top, ...above.slice(0, index), '.gitignore');
    add(file, above.slice(index).join('/'));
  }
  const fallback = repository === undefined && IGNORES_CASE;
  return { gitignore, isCaseInsensitive: gitBoolean(config.get('core.ignorecase'), fallback) };
}

interface PersonalFileQuery {
  readonly config: GitConfig;
  readonly top: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
}

/** core.excludesFile, or git's default for it. An empty value means none. */
function personalFile({ config, top, home, env }: PersonalFileQuery): string | undefined {
  const configured = config.get('core.excludesfile');
  if (configured !== undefined)
    return configured === '' ? undefined : expandGitPath(configured, top, home);
  return path.join(userGitDirectory(home, env), 'ignore');
}

function readConfig(
  repository: Repository | undefined,
  home: string,
  env: NodeJS.ProcessEnv,
): GitConfig {
  const files: string[] = [];
  if (!gitBoolean(env['GIT_CONFIG_NOSYSTEM'], false))
    files.push(env['GIT_CONFIG_SYSTEM'] ?? '/etc/gitconfig');
  if (env['GIT_CONFIG_GLOBAL'] === undefined)
    files.push(path.join(userGitDirectory(home, env), 'config'), path.join(home, '.gitconfig'));
  else files.push(env['GIT_CONFIG_GLOBAL']);
  const reader = { readText, home };
  if (repository === undefined) return readGitConfig(files, reader);
  files.push(path.join(repository.commonDirectory, 'config'));
  const shared = readGitConfig(files, reader);
  if (!gitBoolean(shared.get('extensions.worktreeconfig'), false)) return shared;
  return readGitConfig([...files, path.join(repository.gitDirectory, 'config.worktree')], reader);
}

/** An empty XDG_CONFIG_HOME counts as unset. */
function userGitDirectory(home: string, env: NodeJS.ProcessEnv): string {
  const base = env['XDG_CONFIG_HOME'];
  return path.join(base === undefined || base === '' ? path.join(home, '.config') : base, 'git');
}

/** The repository that this directory is in: a `.git` directory, or a worktree's or submodule's file. */
function findRepository(start: string): Repository | undefined {
  for (let top = start; ; top = path.dirname(top)) {
    const gitDirectory = gitDirectoryAt(path.join(top, '.git'));
    if (gitDirectory !== undefined) {
      const common = readText(path.join(gitDirectory, 'commondir'))?.trimEnd();
      const commonDirectory =
        common === undefined ? gitDirectory : path.resolve(gitDirectory, common);
      return { top, gitDirectory, commonDirectory };
    }
    if (path.dirname(top) === top) return undefined;
  }
}

/** Follows the one line of a `.git` file. Every git directory has a HEAD; an empty folder is none. */
function gitDirectoryAt(dotGit: string): string | undefined {
  const stats = statIfReachable(dotGit);
  if (stats === undefined) return undefined;
  let directory = dotGit;
  if (stats.isFile()) {
    const target = /^gitdir: (.+?)[\r\n]*$/s.exec(readText(dotGit) ?? '')?.[1];
    if (target === undefined) return undefined;
    directory = path.resolve(path.dirname(dotGit), target);
  }
  return statIfReachable(path.join(directory, 'HEAD')) === undefined ? undefined : directory;
}

function statIfReachable(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Undefined where it is no regular file, is too large, or cannot be read. */
function readText(file: string): string | undefined {
  let fd: number;
  try {
    // Never waits for a writer where the file is a FIFO.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size > MAX_TEXT_BYTES) return undefined;
    return pathFromBytes(readFileSync(fd));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
