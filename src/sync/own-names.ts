/** Paths that rmtx keeps for itself or never takes from a host, whatever the config says. */

const PERSONAL_CONFIG = '.rmtx.local.json';
const CONFIG_NAMES = ['.rmtx.json', 'rmtx.json', PERSONAL_CONFIG];
/** Where sync-back stages, and the copies it keeps of what it would not overwrite. */
export const STAGE_PREFIX = '.rmtx-stage-';
export const CONFLICT_MARK = '.rmtx-conflict-';

/** Characters that HFS+ leaves out when it compares names: `.g\u200cit` is `.git` there. */
const LEFT_OUT = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;

/** True for what is never scanned: rmtx's own working files, and this person's own settings. */
export function isOwnPath(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (name.startsWith(STAGE_PREFIX)) return true;
  // Not in front: a conflict copy has the name of a file before the mark.
  if (name.indexOf(CONFLICT_MARK) > 0) return true;
  return path.toLowerCase() === PERSONAL_CONFIG;
}

/**
 * True for what a host must never write at the client: anything of `.git`, where hooks and settings run
 * commands, and rmtx's own settings. Names are compared as the least careful file system does.
 */
export function isRefusedFromHost(path: string): boolean {
  const plain = asLeastCareful(path);
  if (CONFIG_NAMES.includes(plain)) return true;
  return plain.split('/').some(isGitName);
}

/** The path as the least careful file system compares it. */
export function asLeastCareful(path: string): string {
  return path.replace(LEFT_OUT, '').toLowerCase();
}

/**
 * The topmost part of a path that {@link isRefusedFromHost}: a `.git` directory, or the path itself.
 */
export function refusedTop(path: string): string {
  const names = path.split('/');
  const git = names.findIndex((name) => isRefusedFromHost(name) && !CONFIG_NAMES.includes(name));
  return git < 0 ? path : names.slice(0, git + 1).join('/');
}

/** True for git's index, which git rewrites when it only looks (`git status`, `git describe`). */
export function isGitIndex(path: string): boolean {
  return /(?:^|\/)\.git\/index$/i.test(path);
}

/** On Windows also the names under which NTFS finds the same directory. */
function isGitName(name: string): boolean {
  if (name === '.git') return true;
  return process.platform === 'win32' && /^(?:\.git|git~1)(?:[. ]*$|:)/.test(name);
}
