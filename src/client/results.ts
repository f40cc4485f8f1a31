/** The way home: the host's change set, compared, fetched, applied, and agreed on. */
import { BlobReceiver } from '../protocol/blob-receiver.js';
import type { BlobSink } from '../protocol/blob-receiver.js';
import { badMessage } from '../protocol/fields.js';
import { CHANNEL } from '../protocol/messages.js';
import type { HostMessage, IgnoredLeftovers } from '../protocol/messages.js';
import { ChangeDecoder } from '../sync/change-codec.js';
import type { EntryTable } from '../sync/entry-table.js';
import type { ManifestChange, Problem } from '../sync/entry.js';
import { settleRacy } from '../sync/rescan.js';
import { SyncRules } from '../sync/rules.js';
import type { ScanResult } from '../sync/scan.js';
import { TableMerger } from '../sync/table-changes.js';

import type { AnchoredRoot } from '../util/safe-path.js';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { applyChangeSet, describeConflict } from './apply.js';
import type { ApplyReport } from './apply.js';
import type { HostConnection } from './connect.js';
import type { BaseKey, ProjectState } from './project-state.js';

export interface HomeOptions {
  readonly host: HostConnection;
  readonly root: AnchoredRoot;
  readonly state: ProjectState;
  /** The workspace that the manifest is agreed on with. */
  readonly agreed: BaseKey;
  readonly runId: string;
  /** As the run saw the project. */
  readonly scan: ScanResult;
  /** False: whatever the command changed stays there and is dropped. */
  readonly isWanted: boolean;
  readonly allowMassDelete: boolean;
  readonly clientHome: string;
  readonly onProgress: (done: number, total: number) => void;
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

type ChangeSet = Extract<HostMessage, { type: 'change_set' }>;

/** They are held in memory, 500 bytes each, and a host that lies could go on for ever. */
const MAX_CHANGES = 1_000_000;
const MAX_CHANGE_BYTES = 128 * 1024 * 1024;

/**
 * Brings home what the command changed and agrees with the host on the next base. After an error the
 * project is as it was, or a recovery finishes it.
 */
export async function bringChangesHome(options: HomeOptions): Promise<HomeReport> {
  const { host, state, scan, agreed } = options;
  const changeSet = await host.inbox.next('change_set');
  const changes = changeSet.changes === 0 ? [] : await receiveChanges(host, changeSet.changes);
  if (!options.isWanted) {
    if (changeSet.changes > 0) host.connection.openSend(CHANNEL.resultRequests).end();
    await settle(host, 'discard');
    state.save(scan, { key: agreed, base: scan.table });
    return { ...NOTHING, problems: changeSet.problems, ignored: changeSet.ignored };
  }
  const fetcher = new Fetcher(options, changeSet.changes > 0 ? changeSet : undefined);
  const applied = await apply(options, changes, fetcher);
  fetcher.end();
  await settle(host, 'applied');
  const table = await settleRacy({ root: options.root }, applied.table);
  const base = baseAfter(options, changes, changeSet);
  state.save(
    { ...scan, table },
    {
      key: agreed,
      base,
    },
  );
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

const NOTHING = {
  changed: [],
  deleted: [],
  conflicts: [],
  isIncomplete: false,
  bytes: 0,
} as const;

/** Exactly as many as were announced. */
async function receiveChanges(host: HostConnection, announced: number): Promise<ManifestChange[]> {
  if (announced > MAX_CHANGES)
    throw badMessage(`${announced} changes, where at most ${MAX_CHANGES} can be brought home`);
  const decoder = new ChangeDecoder();
  const changes: ManifestChange[] = [];
  let bytes = 0;
  for await (const piece of host.connection.openReceive(CHANNEL.changes)) {
    bytes += piece.length;
    if (bytes > MAX_CHANGE_BYTES) throw badMessage('a change set of too many bytes');
    for (const change of decoder.push(piece)) changes.push(change);
    if (changes.length > announced)
      throw badMessage(`more than the ${announced} changes announced`);
  }
  decoder.end();
  if (changes.length < announced)
    throw badMessage(`${changes.length} changes instead of the ${announced} announced`);
  return changes;
}

function apply(
  options: HomeOptions,
  changes: readonly ManifestChange[],
  fetcher: Fetcher,
): Promise<ApplyReport> {
  const { root, scan, runId, clientHome, state, allowMassDelete } = options;
  return applyChangeSet({
    root,
    clientHome,
    stateDirectory: state.directory,
    runId,
    table: scan.table,
    rules: new SyncRules(scan.rules),
    allowMassDelete,
    changes,
    fetch: (wanted, sink) => fetcher.fetch(wanted, sink),
  });
}

async function settle(host: HostConnection, type: 'applied' | 'discard'): Promise<void> {
  host.send({ type });
  await host.inbox.next('acknowledged');
}

/**
 * What the host has from now on. Conflicts and refusals make it differ from what is here; the next run
 * then sends the difference. Where the host's own idea of it differs from ours, nothing is agreed on,
 * and the next run sends everything.
 */
function baseAfter(
  { scan }: HomeOptions,
  changes: readonly ManifestChange[],
  changeSet: ChangeSet,
): EntryTable | undefined {
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

/** Fetches blobs of the result, in as many calls as the apply makes; then tells the host that it is over. */
class Fetcher {
  bytes = 0;
  readonly #options: HomeOptions;
  readonly #changeSet: ChangeSet | undefined;
  #isUsed = false;

  constructor(options: HomeOptions, changeSet: ChangeSet | undefined) {
    this.#options = options;
    this.#changeSet = changeSet;
  }

  async fetch(
    wanted: readonly {
      readonly digest: Parameters<BlobReceiver['want']>[0];
      readonly size: number;
    }[],
    sink: BlobSink,
  ): Promise<void> {
    if (wanted.length === 0) return;
    if (this.#isUsed) throw new Error('Internal error: the results are fetched in one round');
    this.#isUsed = true;
    const { connection } = this.#options.host;
    const requests = connection.openSend(CHANNEL.resultRequests);
    using receiver = new BlobReceiver(sink);
    for (const { digest, size } of wanted) receiver.want(digest, size);
    receiver.endRound();
    const total = wanted.reduce((sum, { size }) => sum + size, 0);
    // Not awaited: requests drain as data is consumed, and waiting would hold up the data.
    const sendRequests = (): void => {
      const bytes = receiver.takeRequests();
      if (bytes !== undefined) void requests.write(bytes);
      if (receiver.isRoundOver) requests.end();
    };
    sendRequests();
    await connection
      .openReceive(CHANNEL.resultBlobs, { windowBytes: 4 * 1024 * 1024 })
      .onData(async (piece) => {
        this.bytes += piece.length;
        this.#options.onProgress(Math.min(this.bytes, total), total);
        receiver.push(piece);
        while (receiver.work()) await nextTurn();
        sendRequests();
      });
  }

  end(): void {
    if (this.#isUsed || this.#changeSet === undefined) return;
    this.#options.host.connection.openSend(CHANNEL.resultRequests).end();
  }
}
