import { RmtxError, isRmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { isWithin } from './entry.js';

/**
 * Throws MOUNT_MISSING for a mount that is not there, or that only a link leads to: a project whose half
 * is silently empty would have the host delete that half.
 */
export function checkMounts(root: AnchoredRoot, mounts: readonly string[]): void {
  for (const mount of mounts) {
    if (mount === '') continue;
    let isThere: boolean;
    try {
      isThere = root.lstat(mount) !== undefined;
    } catch (cause) {
      if (!isRmtxError(cause)) throw cause;
      throw missing(mount, 'lies behind a link, which is not followed', cause);
    }
    if (!isThere) throw missing(mount, 'does not exist');
  }
}

function missing(mount: string, why: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_MOUNT_MISSING', `the mount ${printable(mount)} ${why}`, {
    hint: 'create it, or take it out of "mounts" in the config',
    cause,
  });
}

/** The names in a directory of no mount that lead to one, sorted. */
export function namesTowardMounts(directory: string, mounts: readonly string[]): string[] {
  const skip = directory === '' ? 0 : directory.length + 1;
  const names = mounts
    .filter((mount) => mount !== directory && isWithin(mount, directory))
    .map((mount) => mount.slice(skip).split('/')[0] ?? '');
  return [...new Set(names)].sort();
}
