/** Puts the run's version of a path beside it, where the path itself must stay as it is. */
import { parentOf } from '../../sync/entry.js';
import type { WorkspacePath } from '../../sync/entry.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { isOutOfReach } from './areas.js';
import { conflictPath } from './conflict-names.js';
import { hasEntryContent, look } from './observe.js';
import type { StagedContent, Workbench } from './workbench.js';

/** More copies of one path than any real run leaves behind. */
const MAX_ATTEMPTS = 1000;
/** Of directories that only hold such copies. */
const DIRECTORY_MODE = 0o755;

interface Candidate {
  readonly path: WorkspacePath;
  /** It lies in a directory that has to be made for it. */
  readonly isNested: boolean;
}

/**
 * Finds a free name and lets `place` use it; `place` returns false where the name got taken meanwhile.
 * A copy of the same content that is there already (from before a crash, from the same run applied
 * twice) is as good: its name is returned and nothing is placed.
 */
export function keepBeside(
  bench: Workbench,
  path: WorkspacePath,
  { entry, place }: { entry: StagedContent['entry']; place: (candidate: WorkspacePath) => boolean },
): WorkspacePath {
  const { root } = bench;
  let reason: unknown;
  for (const { path: candidate, isNested } of candidates(bench, path)) {
    try {
      if (hasEntryContent(root, candidate, entry)) return candidate;
      if (isNested) root.makeDirectories(parentOf(candidate), DIRECTORY_MODE);
      if (place(candidate)) return candidate;
    } catch (error) {
      // Something that is no directory has the name where one is needed.
      if (!isOutOfReach(error)) throw error;
      reason = error;
    }
  }
  throw new Error('Internal error: no free name for a conflict copy', { cause: reason });
}

/** The copy of this content beside `path`, if one is there. */
export function findCopy(
  bench: Workbench,
  path: WorkspacePath,
  entry: StagedContent['entry'],
): WorkspacePath | undefined {
  for (const candidate of candidates(bench, path)) {
    if (hasEntryContent(bench.root, candidate.path, entry)) return candidate.path;
    if (look(bench.root, candidate.path) === undefined) return undefined;
  }
  return undefined;
}

function* candidates({ root, runId }: Workbench, path: WorkspacePath): Generator<Candidate> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const missingFrom = firstMissingParent(root, path);
    const candidate = conflictPath(path, missingFrom ?? path, { runId, attempt });
    yield { path: candidate, isNested: missingFrom !== undefined };
  }
}

/** The highest parent of `path` that is no directory here. */
function firstMissingParent(root: AnchoredRoot, path: WorkspacePath): string | undefined {
  let missing: string | undefined;
  for (let above = parentOf(path); above !== ''; above = parentOf(above)) {
    const stats = look(root, above);
    if (stats !== undefined && stats !== 'blocked' && stats.isDirectory()) return missing;
    missing = above;
  }
  return missing;
}
