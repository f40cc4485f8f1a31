import { realpathSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { printable } from '../util/printable.js';

const UNREACHABLE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM'];

/**
 * Refuses a project root that would send, and let a host change, much more than a project: the file
 * system's top, a home directory, or a folder that holds one. `root` is a real path. Throws
 * ERR_RMTX_PROJECT_ROOT_REFUSED.
 */
export function refuseUnsafeRoot(root: string, env: NodeJS.ProcessEnv = process.env): void {
  const reason = unsafeReason(root, env);
  if (reason === undefined) return;
  throw new RmtxError(
    'ERR_RMTX_PROJECT_ROOT_REFUSED',
    `the project root would be ${printable(root)}, ${reason}`,
    { hint: "put .rmtx.json into the project's own folder: run rmtx init there" },
  );
}

/** The real path of a file or folder, or undefined where it is missing or the way to it is closed. */
export function realPathIfExists(file: string): string | undefined {
  try {
    // The native call also gives the spelling on disk where case does not count.
    return realpathSync.native(file);
  } catch (error) {
    if (UNREACHABLE.includes(systemErrorCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** True when `inner` is `outer` or lies below it; both absolute and without '..'. */
export function isInside(inner: string, outer: string): boolean {
  const relative = path.relative(outer, inner);
  return relative === '' || (relative.split(path.sep)[0] !== '..' && !path.isAbsolute(relative));
}

function unsafeReason(root: string, env: NodeJS.ProcessEnv): string | undefined {
  if (path.dirname(root) === root) return 'the top of the file system';
  const named = env[process.platform === 'win32' ? 'USERPROFILE' : 'HOME'] ?? '';
  const home = named === '' ? undefined : realPathIfExists(named);
  // A folder of the home is not a home; the account's own entry costs a look-up, up to a network's.
  if (home !== undefined && home !== path.parse(home).root && root !== home && isInside(root, home))
    return undefined;
  for (const candidate of [home, accountHome()]) {
    if (candidate === undefined || !isInside(candidate, root)) continue;
    return candidate === root
      ? 'a home directory'
      : `which holds the home directory ${printable(candidate)}`;
  }
  return undefined;
}

/** The home in the account's entry: HOME may point elsewhere. Undefined for a user without an entry. */
function accountHome(): string | undefined {
  let directory: string;
  try {
    directory = os.userInfo().homedir;
  } catch {
    // A container may run under a number that no account has (SystemError ENOENT).
    return undefined;
  }
  return directory === '' ? undefined : realPathIfExists(directory);
}
