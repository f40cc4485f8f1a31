/** One slot's workspace, held by one run. The work is done in a worker thread: workspace-session.ts. */
import type { Digest } from '../store/digest.js';
import type { ManifestId } from '../sync/entry.js';
import type {
  BeginManifestOptions,
  ChangeSetSummary,
  CollectOptions,
  MaterializeCounts,
  MissingBlobs,
  VerifyResult,
  WorkspaceOptions,
} from './workspace-session.js';
import { releaseThread, takeThread } from './workspace-threads.js';
import type { WorkspaceThread } from './workspace-threads.js';
import type { TakenBlobs } from './workspace-worker-messages.js';

/**
 * The calls of a run in their order: verify; perhaps offerEntriesAhead and, if wanted, pushBlobs; perhaps
 * offerAhead and, if any are wanted, pushBlobs; then beginManifest, pushManifest, finishManifest and, if blobs are missing, pushBlobs, again for each amended manifest; materialize; collect; acknowledge or restore;
 * dispose. They may be queued without waiting. Every one rejects once the worker has died; what is on
 * disk then is put right by the next run of the slot.
 */
export class Workspace implements AsyncDisposable {
  readonly #thread: WorkspaceThread;
  readonly #opened: Promise<undefined>;
  #isDisposed = false;

  private constructor(thread: WorkspaceThread, options: WorkspaceOptions) {
    this.#thread = thread;
    this.#opened = thread.call('open', options);
    // Whoever calls next is told.
    this.#opened.catch(() => undefined);
  }

  static open(options: WorkspaceOptions): Workspace {
    const { slotDirectory, workspacePath, blobStoreDirectory } = options;
    return new Workspace(takeThread(), { slotDirectory, workspacePath, blobStoreDirectory });
  }

  /** Compares the workspace with its index: at the cost of looking at every file, reading none. */
  async verify(): Promise<VerifyResult> {
    // Sent at once, so that calls stay in order; but why it could not be opened is the better error.
    const verified = this.#thread.call('verify', undefined);
    verified.catch(() => undefined);
    await this.#opened;
    return verified;
  }

  /** A sample of a project, for an empty workspace. Where true, the blobs pushed next are its entries with their content. */
  offerEntriesAhead(sample: readonly Digest[]): Promise<boolean> {
    return this.#thread.call('offerEntriesAhead', sample);
  }

  /** Files that the client could send before its manifest; resolves with the indexes of those that it should. */
  offerAhead(sizes: readonly number[]): Promise<readonly number[]> {
    return this.#thread.call('offerAhead', sizes);
  }

  /** Begins a manifest; a second one amends the first, which was finished. */
  async beginManifest(options: BeginManifestOptions): Promise<void> {
    await this.#thread.call('beginManifest', options);
  }

  /** Change records, cut anywhere. The bytes are copied before this returns. */
  async pushManifest(bytes: Uint8Array): Promise<void> {
    const copy = copyOf(bytes);
    await this.#thread.call('pushManifest', copy, [copy.buffer]);
  }

  /**
   * Throws MANIFEST_MISMATCH where the changes do not lead to the manifest announced, NAME_COLLISION where
   * this file system cannot hold it, BAD_MESSAGE where it is none; nothing was changed then.
   */
  finishManifest(expected: ManifestId): Promise<MissingBlobs> {
    return this.#thread.call('finishManifest', expected);
  }

  /**
   * Blob records, cut anywhere. Resolves when they are written, which is what holds a sender back; calls
   * may be queued. The memory is given away, all of it, and comes back with the result.
   */
  pushBlobs(bytes: Uint8Array<ArrayBuffer>): Promise<TakenBlobs> {
    return this.#thread.call('pushBlobs', bytes, [bytes.buffer]);
  }

  /** The workspace is exactly the manifest when this resolves. Throws BLOB_MISSING, DISK_FULL. */
  materialize(): Promise<MaterializeCounts> {
    return this.#thread.call('materialize', undefined);
  }

  /** Captures what the command changed; after that the workspace may be put back any time. */
  collect(options: CollectOptions): Promise<ChangeSetSummary> {
    return this.#thread.call('collect', options);
  }

  /** The manifest with the changes becomes the base; the workspace is put back to exactly that. */
  async acknowledge(): Promise<void> {
    await this.#thread.call('acknowledge', undefined);
  }

  /** The manifest without the changes stays the base; the workspace is put back to that. */
  async restore(): Promise<void> {
    await this.#thread.call('restore', undefined);
  }

  /** May be called at any point, also while a call is under way, and again. Never rejects. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    try {
      await this.#thread.call('dispose', undefined);
    } catch {
      // The worker died, and what it had open with it.
    }
    releaseThread(this.#thread);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** Memory of its own that can be given away: a piece off the network shares its memory with others. */
function copyOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
