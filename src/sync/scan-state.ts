/**
 * What a scan leaves for the next one, so that a scan in which nothing is new reads no file's content and
 * matches no pattern: the table with its signatures, the ignore files it read, and the names that were
 * judged not to take part.
 *
 * On disk: `index` is the table, `rules.json` the rest. The second names the manifest id of the first, so
 * a crash between the two leaves a pair that is known not to belong together: the rows are used then,
 * the judgements are not.
 */
import path from 'node:path';
import { isRmtxError } from '../errors.js';
import { readFileIfExists, writeFileAtomic } from '../util/atomic-file.js';
import { loadEntryTable, saveEntryTable } from './entry-table-file.js';
import type { EntryTable } from './entry-table.js';
import { parseRuleSources } from './rule-sources.js';
import type { RuleSources } from './rule-sources.js';
import type { StatSignature } from './stat-signature.js';

export interface ScanState {
  readonly table: EntryTable;
  /** With the .gitignore files that the scan found; undefined where the judgements are not known. */
  readonly rules: RuleSources | undefined;
  /** Of the files found: the last ones of `rules.gitignore`, in the same order. */
  readonly gitignoreSignatures: readonly FileSignature[];
  /** By directory, what is in it and not synced: see `left-out.ts`. */
  readonly leftOut: ReadonlyMap<string, string>;
}

export interface FileSignature {
  readonly size: number;
  readonly signature: StatSignature;
}

const VERSION = 1;
/** The table's name in the directory. */
export const INDEX_FILE = 'index';
const RULES_FILE = 'rules.json';

/**
 * What `directory` keeps of the last scan. Undefined where there is none; a damaged file counts as none,
 * since all that is lost is time.
 */
export function loadScanState(directory: string): ScanState | undefined {
  const table = loadEntryTable(path.join(directory, INDEX_FILE));
  if (table === undefined) return undefined;
  const bytes = readFileIfExists(path.join(directory, RULES_FILE));
  const rest = bytes === undefined ? undefined : ignoreCorrupt(() => parseRest(bytes, table));
  return rest ?? { table, rules: undefined, gitignoreSignatures: [], leftOut: new Map() };
}

/** Writes what differs from `saved`, the state that the directory holds. */
export function saveScanState(directory: string, state: ScanState, saved?: ScanState): void {
  if (state.table !== saved?.table) saveEntryTable(path.join(directory, INDEX_FILE), state.table);
  const rest = {
    version: VERSION,
    manifestId: state.table.manifestId,
    rules: state.rules ?? null,
    gitignoreSignatures: state.gitignoreSignatures,
    leftOut: [...state.leftOut],
  };
  writeFileAtomic(path.join(directory, RULES_FILE), JSON.stringify(rest));
}

function parseRest(bytes: Buffer, table: EntryTable): ScanState | undefined {
  const value = JSON.parse(bytes.toString()) as Record<string, unknown> | null;
  // Our own file, written whole: what has the version and the id is what was written.
  if (value?.['version'] !== VERSION || value['manifestId'] !== table.manifestId) return undefined;
  if (value['rules'] === null) return undefined;
  return {
    table,
    rules: parseRuleSources(value['rules']),
    gitignoreSignatures: value['gitignoreSignatures'] as FileSignature[],
    leftOut: new Map(value['leftOut'] as [string, string][]),
  };
}

function ignoreCorrupt<T>(load: () => T): T | undefined {
  try {
    return load();
  } catch (error) {
    if (error instanceof SyntaxError || isRmtxError(error)) return undefined;
    throw error;
  }
}

/** True where the rules without the files found in the tree are those of the previous scan. */
export function hasSameBase(
  rules: RuleSources,
  { rules: before, gitignoreSignatures }: ScanState,
): boolean {
  if (before === undefined) return false;
  const all = before.gitignore;
  const gitignore = all?.slice(0, all.length - gitignoreSignatures.length) ?? null;
  // Parsed, so that both have their fields in one order.
  const now = JSON.stringify(parseRuleSources(rules));
  return now === JSON.stringify(parseRuleSources({ ...before, gitignore }));
}
