import { createDeferred } from '../util/deferred.js';
import type { Deferred } from '../util/deferred.js';
import type { Workspace } from './workspace.js';
import type { BlobsResult } from './workspace-session.js';

/**
 * To wake the worker costs as much as to copy 100 KiB, so it gets no less while more is coming. Half as much costs
 * the host 7 % more of its time in an upload of 1 GiB (measured), twice as much changes nothing.
 */
const HALF_BYTES = 1024 * 1024;

interface Half {
  memory: Uint8Array<ArrayBuffer>;
  length: number;
}

/**
 * Hands blob data from the network to a workspace's worker in memory that goes there and comes back: one
 * half is filled while the worker empties the other. Each byte is copied once, and nothing is allocated
 * (measured on 1 GiB: a message for each piece that TLS hands out costs a third of the whole transfer; memory
 * that both threads see at once is copied to byte by byte, ten times slower).
 */
export class BlobFeed {
  readonly #workspace: Pick<Workspace, 'pushBlobs'>;
  readonly #onResult: (result: BlobsResult) => void;
  #filling = newHalf();
  #other: Half | undefined = newHalf();
  /** Resolved when the worker gives a half back. */
  #returned: Deferred<undefined> | undefined;
  #inWorker: Promise<void> = Promise.resolve();
  #isWatching = false;
  #failure: Error | undefined;
  readonly #failed: Deferred<never> = createDeferred();

  /** `onResult` is called for each part that the worker has taken in, in order. */
  constructor(workspace: Pick<Workspace, 'pushBlobs'>, onResult: (result: BlobsResult) => void) {
    this.#workspace = workspace;
    this.#onResult = onResult;
    this.#failed.promise.catch(() => undefined);
  }

  /** Rejects at once with what the worker threw, for a sender that sends no more after it; else stays open. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /**
   * Takes the bytes over; a promise where they have to wait for the worker. Calls must not overlap. Throws or
   * rejects with what the worker threw, perhaps for earlier bytes.
   */
  push(piece: Uint8Array): void | Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const taken = this.#fill(piece);
    if (taken < piece.length) return this.#pushRest(piece.subarray(taken));
    this.#shipWhenQuiet();
  }

  /** Resolves when the worker has taken in everything. */
  async end(): Promise<void> {
    while (this.#filling.length > 0) await this.#ship();
    await this.#inWorker;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #pushRest(piece: Uint8Array): Promise<void> {
    for (let rest = piece; ;) {
      await this.#ship();
      if (this.#failure !== undefined) throw this.#failure;
      const taken = this.#fill(rest);
      if (taken === rest.length) break;
      rest = rest.subarray(taken);
    }
    // The sender may wait for an answer to just these bytes.
    this.#shipWhenQuiet();
  }

  #fill(piece: Uint8Array): number {
    const half = this.#filling;
    const count = Math.min(piece.length, HALF_BYTES - half.length);
    half.memory.set(count === piece.length ? piece : piece.subarray(0, count), half.length);
    half.length += count;
    return count;
  }

  /** Gives the half that is being filled to the worker, as soon as the other one is back. */
  async #ship(): Promise<void> {
    while (this.#other === undefined) await (this.#returned ??= createDeferred()).promise;
    const full = this.#filling;
    if (full.length === 0) return;
    this.#filling = this.#other;
    this.#other = undefined;
    this.#inWorker = this.#empty(full);
  }

  async #empty(half: Half): Promise<void> {
    try {
      const taken = await this.#workspace.pushBlobs(half.memory.subarray(0, half.length));
      half.memory = new Uint8Array(taken.memory);
      this.#onResult(taken);
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      this.#failed.reject(this.#failure);
    }
    half.length = 0;
    this.#other = half;
    this.#returned?.resolve(undefined);
    this.#returned = undefined;
  }

  /** Ships what there is once a turn of the event loop brought nothing more. */
  #shipWhenQuiet(): void {
    if (!this.#isWatching) this.#watch(this.#filling, 0);
  }

  #watch(half: Half, seen: number): void {
    this.#isWatching = true;
    setImmediate(() => {
      const isSame = this.#filling === half;
      if (isSame && half.length === seen) {
        this.#isWatching = false;
        if (seen > 0) void this.#ship();
      } else {
        this.#watch(this.#filling, this.#filling.length);
      }
    });
  }
}

function newHalf(): Half {
  return { memory: new Uint8Array(HALF_BYTES), length: 0 };
}
