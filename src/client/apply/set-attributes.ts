import { closeSync, constants, fchmodSync, fstatSync, futimesSync, openSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { mtimeUsOf, toUtimesSeconds } from '../../util/microseconds.js';
import { SAFE_READ_FLAGS } from '../../util/safe-path.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import type { SetAttributes } from './operations.js';

export type AttributeStep = Pick<SetAttributes, 'path' | 'isDirectory' | 'mode' | 'mtimeUs'> & {
  /** Undefined: whatever they are now. */
  readonly before: SetAttributes['before'] | undefined;
};

/**
 * Sets mode and time of a file or directory that still has those it had before; true also where it has
 * the new ones already. False, and nothing is changed, where somebody else changed them. Set-uid,
 * set-gid and sticky bits that are there stay. Throws the system error where it is missing.
 */
export function setAttributesAt(root: AnchoredRoot, step: AttributeStep): boolean {
  const flags = SAFE_READ_FLAGS | (step.isDirectory ? constants.O_DIRECTORY : 0);
  const fd = openSync(root.at(step.path), flags);
  try {
    const stats = fstatSync(fd);
    if (!step.isDirectory && !stats.isFile()) return false;
    if (hasAttributes(stats, step)) return true;
    const { before } = step;
    if (before !== undefined && !hasAttributes(stats, { ...before, isDirectory: step.isDirectory }))
      return false;
    fchmodSync(fd, (stats.mode & 0o7000) | step.mode);
    if (step.mtimeUs !== undefined)
      futimesSync(fd, stats.atimeMs / 1000, toUtimesSeconds(step.mtimeUs));
    return true;
  } finally {
    closeSync(fd);
  }
}

function hasAttributes(
  stats: Stats,
  {
    mode,
    mtimeUs,
    isDirectory,
  }: { mode: number; mtimeUs: number | undefined; isDirectory: boolean },
): boolean {
  if ((stats.mode & 0o777) !== mode) return false;
  return isDirectory || mtimeUs === undefined || mtimeUsOf(stats) === mtimeUs;
}
