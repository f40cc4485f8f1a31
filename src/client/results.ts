/** The way home: the host's change set, compared, fetched, applied, and agreed on. */
import type { BlobSink } from '../protocol/blob-receiver.js';
import type { IgnoredLeftovers } from '../protocol/messages.js';
import type { Digest } from '../store/digest.js';
import type { EntryTable } from '../sync/entry-table.js';
import type { ManifestChange, Problem } from '../sync/entry.js';
import { settleRacy } from '../sync/rescan.js';
import type { RuleSources } from '../sync/rule-sources.js';
import { SyncRules } from '../sync/rules.js';
import { TableMerger } from '../sync/table-changes.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { applyChangeSet, describeConflict } from './apply.js';
import type { ApplyReport } from './apply.js';
import type { HostedRun } from './hosted-run.js';
import type { WantedBlob } from './apply/stage.js';
import type { Results } from './visit.js';

export interface HomeOptions {
  readonly run: HostedRun;
  readonly root: AnchoredRoot;
  /** What the client remembers of this project. */
  readonly stateDirectory: string;
  /** As the run saw the project. */
  readonly scan: { readonly table: EntryTable; readonly rules: RuleSources };
  readonly allowMassDelete: boolean;
  readonly clientHome: string;
  readonly onProgress: (done: number, total: number) => void;
  /**
   * Told, once the host has heard of it, what the project is now and what the host has (undefined: nothing
   * that both know).
   */
  readonly onSettled: (table: EntryTable, base: EntryTable | undefined) => void;
}

export interface HomeReport {
  readonly changed: readonly string[];
  readonly deleted: readonly string[];
  readonly conflicts: readonly {
    readonly path: string;
    readonly keptTheirsAs?: string;
    readonly description: string;
  }[];
  readonly problems: readonly Problem[];
  /** Something that the run changed is not here and was not refused on purpose. */
  readonly isIncomplete: boolean;
  readonly ignored: IgnoredLeftovers | undefined;
  /** Fetched. */
  readonly bytes: number;
}

/**
 * Brings home what the command changed and agrees with the host on the next base. After an error the
 * project is as it was, or a recovery finishes it.
 */
export async function bringChangesHome(options: HomeOptions): Promise<HomeReport> {
  const { run, root } = options;
  const results = await run.during((visit) => visit.results());
  if (results === undefined) return { ...NOTHING, problems: [], ignored: undefined };
  const { changeSet, changes } = results;
  const fetcher = new Fetcher(options);
  const applied = await apply(options, changes, fetcher);
  await run.settle('applied');
  const table = await settleRacy({ root }, applied.table);
  options.onSettled(table, baseAfter(options, results));
  return {
    changed: applied.changed,
    deleted: applied.deleted,
    conflicts: applied.conflicts.map((conflict) => ({
      path: conflict.path,
      ...(conflict.keptTheirsAs === undefined ? {} : { keptTheirsAs: conflict.keptTheirsAs }),
      description: describeConflict(conflict),
    })),
    problems: [...changeSet.problems, ...applied.problems],
    isIncomplete:
      applied.heldDeletions !== undefined ||
      applied.problems.length > 0 ||
      changeSet.problems.some(({ code }) => code === 'unreadable'),
    ignored: changeSet.ignored,
    bytes: fetcher.bytes,
  };
}

/** Whatever the command changed stays there and is dropped. */
export async function leaveChangesThere(run: HostedRun): Promise<HomeReport> {
  const changeSet = await run.during((visit) =>
    visit.isOver ? Promise.resolve(undefined) : visit.announcement(),
  );
  if (changeSet !== undefined) await run.settle('discard');
  return { ...NOTHING, problems: changeSet?.problems ?? [], ignored: changeSet?.ignored };
}

const NOTHING = {
  changed: [],
  deleted: [],
  conflicts: [],
  isIncomplete: false,
  bytes: 0,
} as const;

function apply(
  options: HomeOptions,
  changes: readonly ManifestChange[],
  fetcher: Fetcher,
): Promise<ApplyReport> {
  const { root, scan, run, clientHome, stateDirectory, allowMassDelete } = options;
  return applyChangeSet({
    root,
    clientHome,
    stateDirectory,
    runId: run.id,
    table: scan.table,
    rules: new SyncRules(scan.rules),
    allowMassDelete,
    changes,
    fetch: (wanted, sink) => fetcher.fetch(wanted, sink),
  });
}

/**
 * What the host has from now on. Conflicts and refusals make it differ from what is here; the next run
 * then sends the difference. Where the host's own idea of it differs from ours, nothing is agreed on,
 * and the next run sends everything.
 */
function baseAfter({ scan }: HomeOptions, { changeSet, changes }: Results): EntryTable | undefined {
  if (changes.length === 0) return scan.table;
  const rules = new SyncRules(scan.rules);
  const merger = new TableMerger(scan.table);
  for (const change of changes) if (isInManifest(rules, change)) merger.push(change);
  const base = merger.finish();
  return base.manifestId === changeSet.manifestId ? base : undefined;
}

/** What comes home only because `sync_back` names it is in nobody's manifest. */
function isInManifest(rules: SyncRules, change: ManifestChange): boolean {
  if (change.type === 'delete') return true;
  const { path, kind } = change.entry;
  return rules.isInManifest(path, { isDirectory: kind === 'directory' });
}

/** Fetches blobs of the result; where the connection breaks, the next one gets what is still missing. */
class Fetcher {
  bytes = 0;
  readonly #options: HomeOptions;
  #isUsed = false;

  constructor(options: HomeOptions) {
    this.#options = options;
  }

  async fetch(wanted: readonly WantedBlob[], sink: BlobSink): Promise<void> {
    if (wanted.length === 0) return;
    if (this.#isUsed) throw new Error('Internal error: the results are fetched in one round');
    this.#isUsed = true;
    const { run, onProgress } = this.#options;
    const missing = new Map(wanted.map((blob) => [blob.digest, blob]));
    const total = wanted.reduce((sum, { size }) => sum + size, 0);
    await run.during(async (visit) => {
      // Cut after the last byte and before the word that it was the last.
      if (missing.size === 0) return;
      await visit.fetch([...missing.values()], settling(sink, missing), (byteCount) => {
        this.bytes += byteCount;
        onProgress(Math.min(this.bytes, total), total);
      });
    });
  }
}

/** The sink; what it has got, or never will, is taken out of `missing`. */
function settling(sink: BlobSink, missing: Map<Digest, WantedBlob>): BlobSink {
  return {
    basis: (digest, size) => sink.basis(digest, size),
    createLarge: (digest, size) => sink.createLarge(digest, size),
    unfinished: (digest, path) => sink.unfinished?.(digest, path),
    small: (digest, bytes) => {
      sink.small(digest, bytes);
      missing.delete(digest);
    },
    large: (digest, path) => {
      sink.large(digest, path);
      missing.delete(digest);
    },
    gone: (digest) => {
      sink.gone(digest);
      missing.delete(digest);
    },
  };
}
