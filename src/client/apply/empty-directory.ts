import { systemErrorCode } from '../../errors.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { isOutOfReach, listDirectory } from './areas.js';

/** What a plan takes away. */
export interface Going {
  readonly removals: { has(path: string): boolean };
  readonly directories: { has(path: string): boolean };
}

/** True when everything in the directory, on disk now, is among what is going. */
export function willBeEmpty(root: AnchoredRoot, directory: string, going: Going): boolean {
  return (
    namesIn(root, directory)?.every((name) => {
      const path = `${directory}/${name}`;
      if (going.removals.has(path)) return true;
      return going.directories.has(path) && willBeEmpty(root, path, going);
    }) === true
  );
}

/** Undefined where that cannot be known. */
function namesIn(root: AnchoredRoot, directory: string): string[] | undefined {
  try {
    return listDirectory(root, directory);
  } catch (error) {
    if (isOutOfReach(error) || systemErrorCode(error) === 'EACCES') return undefined;
    throw error;
  }
}
