/**
 * A slot while one run has it, from verify to acknowledge: what the worker does. Synchronous; the handle
 * that the rest of the host uses is workspace.ts.
 *
 * On disk there is always an index, and whatever a crash left half-done does not match it, so the next
 * verify finds it. The index is never newer than what it describes.
 */
import { BlobReceiver } from '../protocol/blob-receiver.js';
import type { BlobSink } from '../protocol/blob-receiver.js';
import { badMessage } from '../protocol/bad-message.js';
import { RmtxError, systemErrorCode } from '../errors.js';
import { BlobStore } from '../store/blob-store.js';
import { toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { captureChanges } from '../sync/capture.js';
import type { Capture } from '../sync/capture.js';
import { EntryTable } from '../sync/entry-table.js';
import type { ManifestId, Problem } from '../sync/entry.js';
import { Materializer } from '../sync/materialize.js';
import { findNameCollision } from '../sync/name-collision.js';
import type { IgnoredLeftovers } from '../sync/new-paths.js';
import { decodeRuleSources } from '../sync/rule-sources.js';
import { settleWorkspace } from '../sync/settle-workspace.js';
import { countChanges, diffRows, encodeDiff, validateSteps } from '../sync/table-changes.js';
import { WorkspaceFiles } from '../sync/workspace-files.js';
import { WorkspaceRules } from '../sync/workspace-rules.js';
import { verifyWorkspace } from '../sync/workspace-scan.js';
import type { DiskState } from '../sync/workspace-scan.js';
import { writePartsAtomic } from '../util/atomic-parts.js';
import { printable } from '../util/printable.js';
import { AnchoredRoot } from '../util/safe-path.js';
import { AheadEntries, isMostlyNew } from './ahead-entries.js';
import { AheadFiles, wantedAhead } from './ahead-files.js';
import { IncomingManifest } from './incoming-manifest.js';
import { WorkspaceSlot } from './workspace-slot.js';

export interface WorkspaceOptions {
  readonly slotDirectory: string;
  readonly workspacePath: string;
  readonly blobStoreDirectory: string;
}

export interface VerifyResult {
  /** Of the manifest that the workspace was put back to; undefined: cold. */
  readonly manifestId: ManifestId | undefined;
  /** Nothing of the project is here, in whatever form. */
  readonly isEmpty: boolean;
}

export interface BeginManifestOptions {
  /** The changes start from the last manifest of this handle, else from nothing. */
  readonly fromBase: boolean;
  /** `RuleSources` as JSON. */
  readonly rules: Uint8Array;
}

export interface MissingBlobs {
  readonly missingFiles: number;
  readonly missingBytes: number;
  /** Records for the client's blob sender; empty where nothing is missing. */
  readonly requests: Uint8Array;
}

export interface BlobsResult {
  readonly requests?: Uint8Array;
  readonly isRoundOver: boolean;
  readonly gone: readonly Digest[];
}

export interface MaterializeCounts {
  readonly filesWritten: number;
  readonly removed: number;
}

export interface CollectOptions {
  readonly changeSetFile: string;
  readonly clockOffsetUs: number;
  readonly startedUs: number;
  readonly wantsSyncBack: boolean;
}

export interface ChangeSetSummary {
  /** Of the next base: the manifest with those changes applied that are of the manifest. */
  readonly manifestId: ManifestId;
  readonly changes: number;
  readonly deletions: number;
  /** Of all files in the change set. */
  readonly bytes: number;
  readonly ignored: IgnoredLeftovers | undefined;
  readonly problems: readonly Problem[];
}

export class WorkspaceSession implements Disposable {
  readonly #slot: WorkspaceSlot;
  readonly #store: BlobStore;
  #root: AnchoredRoot | undefined;
  /** What is known to be on disk, after verify and as the work goes on. */
  #disk: DiskState = { table: EntryTable.empty, strangers: [] };
  /** As it was at verify: what a run keeps on the host need not be read after each. */
  #earlier = EntryTable.empty;
  #newerThanUs: number | undefined;
  #rules: WorkspaceRules | undefined;
  #incoming: IncomingManifest | undefined;
  #materializer: Materializer | undefined;
  #receiver: BlobReceiver | undefined;
  #aheadEntries: AheadEntries | undefined;
  #ahead: AheadFiles | undefined;
  #gone: Digest[] = [];
  /** The manifest that the command sees. */
  #materialized: EntryTable | undefined;
  #capture: Capture | undefined;
  /** What is on disk and in the index when the run is over. */
  #putBackTo: EntryTable | undefined;

  constructor(options: WorkspaceOptions) {
    this.#slot = new WorkspaceSlot(options.slotDirectory, options.workspacePath);
    this.#store = new BlobStore(options.blobStoreDirectory);
  }

  verify(): VerifyResult {
    this.#slot.clearStaging();
    const index = this.#slot.loadIndex();
    this.#newerThanUs = this.#slot.lastRunUs();
    this.#disk = verifyWorkspace(this.#openFiles(), index ?? EntryTable.empty);
    this.#earlier = this.#disk.table;
    return { manifestId: index?.manifestId, isEmpty: this.#isEmpty() };
  }

  /** Between verify and anything else, in an empty workspace. Returns whether what is pushed next is entries ahead. */
  offerEntriesAhead(sample: readonly Digest[]): boolean {
    if (!isMostlyNew(this.#store, sample)) return false;
    this.#aheadEntries = new AheadEntries(this.#openFiles());
    return true;
  }

  /** Between verify and the first manifest. Returns the indexes of the files to be pushed as blobs are. */
  offerAhead(sizes: readonly number[]): readonly number[] {
    this.#endEntriesAhead();
    const wanted = wantedAhead(sizes, { store: this.#store, table: this.#disk.table });
    this.#ahead = new AheadFiles(this.#store, wanted);
    return [...wanted.keys()];
  }

  beginManifest(options: BeginManifestOptions): void {
    this.#endEntriesAhead();
    // A further round: the client amends the manifest of the last one.
    if (this.#materializer !== undefined) {
      this.#endRound();
      const reached = this.#materializer.leave();
      this.#disk = verifyWorkspace(this.#openFiles(), reached);
      this.#materializer = undefined;
    }
    this.#rules = new WorkspaceRules(decodeRuleSources(options.rules));
    this.#incoming = new IncomingManifest(options.fromBase ? this.#disk.table : EntryTable.empty);
  }

  pushManifest(bytes: Uint8Array): void {
    expect(this.#incoming, 'pushManifest').push(bytes);
  }

  /** Nothing is changed on disk yet. Throws MANIFEST_MISMATCH where the result is not the expected one. */
  finishManifest(expected: ManifestId): MissingBlobs {
    const next = expect(this.#incoming, 'finishManifest').finish(expected);
    this.#incoming = undefined;
    const steps = [...diffRows(this.#disk.table, next)];
    validateSteps(this.#disk.table, next, steps);
    if (steps.length > 0) this.#refuseCollision(next);
    this.#materializer = new Materializer({
      files: this.#openFiles(),
      disk: this.#disk,
      next,
      steps,
      rules: expect(this.#rules, 'finishManifest'),
      store: this.#store,
      newerThanUs: this.#newerThanUs,
      stagingDirectory: this.#slot.stagingDirectory,
    });
    return this.#requestMissing(this.#materializer);
  }

  /** What can be done before the client's answer: it is on its way meanwhile. */
  prepare(): void {
    this.#materializer?.prepare();
  }

  pushBlobs(bytes: Uint8Array): BlobsResult {
    const ahead = this.#aheadEntries ?? this.#ahead;
    if (ahead !== undefined) {
      ahead.push(bytes);
      return { isRoundOver: false, gone: [] };
    }
    const receiver = expect(this.#receiver, 'pushBlobs');
    try {
      receiver.push(bytes);
      while (receiver.work());
    } catch (error) {
      this.#endRound();
      throw error;
    }
    const requests = receiver.takeRequests();
    const gone = this.#gone;
    this.#gone = [];
    return { ...(requests && { requests }), isRoundOver: receiver.isRoundOver, gone };
  }

  materialize(): MaterializeCounts {
    const materializer = expect(this.#materializer, 'materialize');
    this.#endRound();
    const { table, filesWritten, removed } = changing(() =>
      materializer.finish({ mayLack: false }),
    );
    this.#materializer = undefined;
    this.#materialized = table;
    this.#slot.markRunning();
    return { filesWritten, removed };
  }

  /** May wait until the command runs: until then the old index describes less, and nothing wrongly. */
  saveIndex(): void {
    if (this.#materialized !== undefined) this.#slot.saveIndex(this.#materialized);
  }

  collect(options: CollectOptions): ChangeSetSummary {
    const table = expect(this.#materialized, 'collect');
    const { clockOffsetUs, startedUs, wantsSyncBack } = options;
    this.#capture = captureChanges({
      files: this.#openFiles(),
      table,
      earlier: this.#earlier,
      rules: expect(this.#rules, 'collect'),
      store: this.#store,
      clockOffsetUs,
      startedUs,
      wantsSyncBack,
    });
    const { disk, sent, ignored, problems } = this.#capture;
    writePartsAtomic(options.changeSetFile, encodeDiff(table, sent));
    this.#slot.markRunOver();
    return {
      manifestId: disk.table.manifestId,
      ...countChanges(table, sent),
      ignored,
      problems,
    };
  }

  /** The manifest with the changes is the next base. What was not sent home is put back to it. */
  acknowledge(): void {
    const { disk } = expect(this.#capture, 'acknowledge');
    this.#putBack(disk);
  }

  /**
   * The manifest without the changes stays the base. Before materialize it is left to the next run, to
   * which what is here already is worth something.
   */
  restore(): void {
    this.#endRound();
    if (this.#materialized === undefined) return;
    this.#slot.markRunOver();
    this.#putBack(verifyWorkspace(this.#openFiles(), this.#materialized));
  }

  /**
   * After acknowledge or restore, for the next run: what was written in the last moments is read once more,
   * now that any later change would show. May be left out.
   */
  settle(): void {
    if (this.#putBackTo === undefined) return;
    this.#slot.saveIndex(settleWorkspace(this.#openFiles(), this.#putBackTo));
    this.#putBackTo = undefined;
  }

  [Symbol.dispose](): void {
    this.#endRound();
    this.#root?.[Symbol.dispose]();
    this.#root = undefined;
  }

  #putBack(disk: DiskState): void {
    const materializer = new Materializer({
      files: this.#openFiles(),
      disk,
      next: disk.table,
      steps: [],
      rules: expect(this.#rules, 'putting back'),
      store: this.#store,
      newerThanUs: this.#slot.lastRunUs(),
      stagingDirectory: this.#slot.stagingDirectory,
    });
    const { table } = changing(() => materializer.finish({ mayLack: true }));
    this.#materialized = undefined;
    this.#capture = undefined;
    this.#slot.saveIndex(table);
    this.#putBackTo = table;
  }

  /** Opened anew each time: a command may have put something else in the directory's place. */
  #openFiles(): WorkspaceFiles {
    this.#root?.[Symbol.dispose]();
    this.#root = AnchoredRoot.open(this.#slot.ensureWorkspace());
    return new WorkspaceFiles(this.#root);
  }

  #refuseCollision(next: EntryTable): void {
    const collision = this.#slot.isCaseInsensitive() ? findNameCollision(next) : undefined;
    if (collision === undefined) return;
    throw new RmtxError(
      'ERR_RMTX_NAME_COLLISION',
      `the host's file system cannot hold both ${printable(collision.first)} and ${printable(collision.second)}`,
      {
        hint: 'rename one of them, or put the host state directory on a case-sensitive file system',
      },
    );
  }

  #requestMissing(materializer: Materializer): MissingBlobs {
    let missingBytes = 0;
    this.#gone = [];
    this.#receiver = new BlobReceiver(this.#sinkFor(materializer));
    let missingFiles = 0;
    for (const { digest, size } of materializer.missing()) {
      const name = this.#ahead && toDigest(digest);
      const file = name && this.#ahead?.take(name);
      if (name !== undefined && file !== undefined) {
        materializer.placeFile(name, file);
        continue;
      }
      this.#receiver.want(digest, size);
      missingFiles += 1;
      missingBytes += size;
    }
    this.#ahead?.discard();
    this.#ahead = undefined;
    if (!Number.isSafeInteger(missingBytes))
      throw badMessage('files of more bytes than can be counted');
    if (missingFiles > 0) this.#receiver.endRound();
    const requests = this.#receiver.takeRequests() ?? new Uint8Array(0);
    return { missingFiles, missingBytes, requests };
  }

  #sinkFor(materializer: Materializer): BlobSink {
    const { partials } = this.#store;
    return {
      basis: (digest, size) => materializer.openOlder(digest) ?? partials.open(digest, size),
      small: (digest, bytes) => materializer.placeBytes(digest, bytes),
      createLarge: (digest, size) => partials.claim(digest, size),
      large: (digest, file) => materializer.placeFile(digest, file),
      unfinished: (digest, file) => partials.release(digest, file),
      gone: (digest) => this.#gone.push(digest),
    };
  }

  #endRound(): void {
    this.#receiver?.[Symbol.dispose]();
    this.#receiver = undefined;
    this.#ahead?.[Symbol.dispose]();
    this.#ahead = undefined;
    this.#aheadEntries?.leave();
    this.#aheadEntries = undefined;
  }

  #endEntriesAhead(): void {
    if (this.#aheadEntries === undefined) return;
    this.#disk = this.#aheadEntries.finish();
    this.#aheadEntries = undefined;
  }

  /** Names that come ahead are not compared with each other, as those of a manifest are. */
  #isEmpty(): boolean {
    const { table, strangers } = this.#disk;
    const isNew = table.length === 0 && strangers.length === 0 && this.#newerThanUs === undefined;
    return isNew && !this.#slot.isCaseInsensitive();
  }
}

/** What another user put into the workspace, or root on a command's behalf, is not ours to remove. */
function changing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!['EACCES', 'EPERM'].includes(systemErrorCode(error) ?? '')) throw error;
    throw new RmtxError(
      'ERR_RMTX_HOST_FAILED',
      `the workspace holds what the host may not change: ${printable((error as Error).message)}`,
      { cause: error, hint: 'remove it on the host as its owner, or delete the context' },
    );
  }
}

function expect<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`Internal error: ${what} is not due`);
  return value;
}
