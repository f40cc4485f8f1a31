/** Looking again at single paths of a table, after a scan or after writing to them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { nowUs } from '../util/microseconds.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { runInSlices } from '../util/slices.js';
import type { EntryTable } from './entry-table.js';
import type { Entry, Problem, WorkspacePath } from './entry.js';
import { isProblem, readEntryInSteps } from './fresh-entry.js';
import { LONGEST_RACY_US, RACY_WINDOW_US } from './stat-signature.js';
import type { StatSignature } from './stat-signature.js';
import { TableRewriter } from './table-rewriter.js';

export interface RescanOptions {
  readonly root: AnchoredRoot;
  readonly abortSignal?: AbortSignal | undefined;
}

export interface RescannedPath {
  readonly path: WorkspacePath;
  /** Undefined where nothing is there, or what is there cannot be an entry. */
  readonly entry: Entry | undefined;
  readonly signature: StatSignature | undefined;
  readonly problem: Problem | undefined;
}

/**
 * What stands at these paths now, contents read anew. The rules are not asked: the paths are ones that
 * take part. In the order given; walk order is the cheapest.
 */
export async function rescanPaths(
  options: RescanOptions,
  paths: readonly WorkspacePath[],
): Promise<RescannedPath[]> {
  return runInSlices(rescanInSteps(options.root, paths), { abortSignal: options.abortSignal });
}

function* rescanInSteps(
  root: AnchoredRoot,
  paths: readonly WorkspacePath[],
): Generator<undefined, RescannedPath[]> {
  // Directories remembered from an earlier use may have been replaced since.
  root.forget();
  const found: RescannedPath[] = [];
  for (const path of paths) {
    const now = yield* readEntryInSteps(root, path);
    const problem = now !== undefined && isProblem(now) ? now : undefined;
    const fresh = now !== undefined && !isProblem(now) ? now : undefined;
    found.push({ path, entry: fresh?.entry, signature: fresh?.signature, problem });
    yield;
  }
  root.forget();
  return found;
}

/** Bytes that are read again at most: beyond it, rows stay racy and the next scan reads them. */
const MAX_SETTLED_BYTES = 64 * 1024 * 1024;

/**
 * Takes the racy mark off the rows whose content is still what they say, so that the next scan need not
 * read them: waits until a later write would show in the times (20 ms at most), then reads the files
 * once more. Looking at the times alone would not do: a write in the same tick as the one before has
 * left them as they were. Rows that have changed stay as they are. Returns the same table where nothing
 * could be settled.
 */
export async function settleRacy(options: RescanOptions, table: EntryTable): Promise<EntryTable> {
  const racy = racyRows(table);
  if (racy.length === 0) return table;
  const waitUs = racy.reduce((longest, row) => Math.max(longest, racyForUs(table, row)), 0);
  // The clock is read in whole milliseconds, and a timer may fire one early.
  const waitMs = Math.ceil(waitUs / 1000) + 2;
  if (waitUs > 0) await sleep(waitMs, undefined, { signal: options.abortSignal });
  return runInSlices(settleInSteps(options.root, table, racy), {
    abortSignal: options.abortSignal,
  });
}

function* settleInSteps(
  root: AnchoredRoot,
  table: EntryTable,
  racy: readonly number[],
): Generator<undefined, EntryTable> {
  root.forget();
  const settled = new TableRewriter(table);
  let bytesLeft = MAX_SETTLED_BYTES;
  for (const row of racy) {
    settled.keepNext(row - settled.cursor.nextRow);
    bytesLeft -= table.size(row);
    const signature = bytesLeft < 0 ? undefined : yield* settledSignature(root, table, row);
    if (signature === undefined) continue;
    settled.cursor.pass(1);
    settled.put(row, table.entry(row), signature);
    yield;
  }
  settled.keepNext(table.length - settled.cursor.nextRow);
  root.forget();
  return settled.finish();
}

/**
 * The signature to trust from now on; undefined where the row does not say what is there. Times are
 * compared by signature: in a workspace an entry's own mtime is the client's.
 */
function* settledSignature(
  root: AnchoredRoot,
  table: EntryTable,
  row: number,
): Generator<undefined, StatSignature | undefined> {
  const now = yield* readEntryInSteps(root, table.path(row));
  if (now === undefined || isProblem(now) || now.signature?.isRacy !== false) return undefined;
  const isSame =
    hasSameContent(now.entry, table.entry(row)) &&
    now.signature.mtimeUs === table.signature(row)?.mtimeUs;
  return isSame ? now.signature : undefined;
}

function hasSameContent(a: Entry, b: Entry): boolean {
  if (a.kind === 'file') return b.kind === 'file' && a.digest === b.digest && a.mode === b.mode;
  return a.kind === 'symlink' && b.kind === 'symlink' && a.target === b.target;
}

/** The rows whose signature proves nothing yet. */
export function racyRows(table: EntryTable): number[] {
  const rows: number[] = [];
  for (let row = 0; row < table.length; row++)
    if (table.signature(row)?.isRacy === true) rows.push(row);
  return rows;
}

/** How long a write could still hide behind the row's times. Times ahead of the clock are not waited for. */
export function racyForUs(table: EntryTable, row: number): number {
  const signature = table.signature(row);
  const newestUs = Math.max(signature?.mtimeUs ?? 0, signature?.ctimeUs ?? 0);
  const leftUs = newestUs + RACY_WINDOW_US - nowUs();
  return leftUs > LONGEST_RACY_US ? 0 : leftUs;
}
