/** What the steps of a transaction work with. */
import { readlinkSync } from 'node:fs';
import { systemErrorCode } from '../../errors.js';
import type { FileEntry, SymlinkEntry } from '../../sync/entry.js';
import { pathFromBytes } from '../../util/path-bytes.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import type { Area } from './areas.js';
import type { StagedAt } from './operations.js';

export interface Workbench {
  readonly root: AnchoredRoot;
  readonly undo: Area;
  readonly runId: string;
  /** Names a copy on its way beside its target, with a number behind it. Never scanned. */
  readonly temporaryName: string;
  /** The stage area with this number. */
  area(number: number): Area;
}

export interface StagedContent {
  readonly entry: FileEntry | SymlinkEntry;
  readonly staged: StagedAt;
}

/** What file systems without hard links answer, and those whose file has too many. */
const NO_LINK = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** Undefined when the link was made, else the error code that one has to cope with. */
export function tryLink(link: () => void): string | undefined {
  try {
    link();
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== undefined && ['EEXIST', 'EXDEV', ...NO_LINK].includes(code)) return code;
    throw error;
  }
}

/** The target of a link in the undo directory; undefined for a file, or for nothing. */
export function readUndoTarget(undo: Area, number: number): string | undefined {
  if (undo.lstat(number)?.isSymbolicLink() !== true) return undefined;
  return pathFromBytes(readlinkSync(undo.at(number), { encoding: 'buffer' }));
}
