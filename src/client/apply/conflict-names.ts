/** Where the run's version of a path is put when the path itself stays as it is. */
import { CONFLICT_MARK } from '../../sync/own-names.js';
import type { WorkspacePath } from '../../sync/entry.js';
import { pathFromBytes, pathToBytes } from '../../util/path-bytes.js';

/** What file systems allow for one name. */
const MAX_NAME_BYTES = 255;

/**
 * `NAME.rmtx-conflict-RUN`, from the second attempt on with `-2`, `-3` … at its end. A name too long for
 * that is cut at a character, never the mark: it keeps the copy from being scanned and sent.
 */
export function conflictName(name: string, runId: string, attempt: number): string {
  const suffix = CONFLICT_MARK + runId + (attempt > 1 ? `-${attempt}` : '');
  const bytes = pathToBytes(name);
  const room = MAX_NAME_BYTES - Buffer.byteLength(suffix);
  if (bytes.length <= room) return name + suffix;
  let end = room;
  while (end > 1 && isContinuation(bytes[end])) end -= 1;
  return pathFromBytes(bytes.subarray(0, end)) + suffix;
}

/**
 * The copy of a whole path: beside `path`, or where `missingFrom`, a parent of it, is no directory here,
 * beside that, with the rest of the path below: `a/b/c` → `a/b.rmtx-conflict-RUN/c`.
 */
export function conflictPath(
  path: WorkspacePath,
  missingFrom: string,
  { runId, attempt }: { readonly runId: string; readonly attempt: number },
): WorkspacePath {
  const slash = missingFrom.lastIndexOf('/');
  const renamed = conflictName(missingFrom.slice(slash + 1), runId, attempt);
  const rest = path.slice(missingFrom.length);
  return (missingFrom.slice(0, slash + 1) + renamed + rest) as WorkspacePath;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
