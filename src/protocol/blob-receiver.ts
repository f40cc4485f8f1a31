/**
 * Asks for blobs and takes them in: a state machine without a connection, a clock or a promise, for a
 * worker or the main thread. Feed it what the sender says, send on what it asks for:
 *
 *   want(…) for each blob, endRound(), then send takeRequests(); for each piece of data push(piece),
 *   work() until it returns false, send takeRequests(); until isRoundOver.
 *
 * It does not ask for everything at once, but for as much as keeps the sender busy.
 *
 * Nothing reaches the sink that was not wanted and whose bytes are not the digest's. The sender must
 * answer everything that was asked for in a round; what it cannot send is GONE, and may be wanted again.
 */
import { closeSync } from 'node:fs';
import { LARGE_BLOB_BYTES, MAX_CHUNKED_BYTES } from '../store/chunk-list.js';
import { digestBytes, hashBytes, toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { ByteWriter } from '../util/bytes.js';
import { asBuffer, badRecord } from './blob-record-head.js';
import { BlobDataDecoder } from './blob-records.js';
import type { BlobDataHead } from './blob-records.js';
import { encodeRequest } from './blob-requests.js';
import type { BlobRequest } from './blob-requests.js';
import { digestMismatch } from './blob-file.js';
import { ChunkedBlob } from './chunked-blob.js';
import { StreamedBlob } from './streamed-blob.js';
import { WantedBlobs } from './wanted-blobs.js';

/** Where blobs go. Calls come in the order of the data; what a call throws, `push` or `work` throws. */
export interface BlobSink {
  /**
   * Opens for reading an older version of the file, or what an interrupted transfer left, whose parts
   * may be used again; undefined where there is none. Asked for large blobs only, when they are wanted
   * and again when chunks of theirs are listed. The receiver closes it.
   */
  basis(digest: Digest, size: number): number | undefined;
  /** A blob below 4 MiB. `bytes` are good during the call only. */
  small(digest: Digest, bytes: Buffer): void;
  /**
   * Opens for reading and writing, without truncating, the file that a large blob is built in; what it
   * holds is used where it is right. The receiver closes it, and opens `path` again as often as needed.
   */
  createLarge(digest: Digest, size: number): { readonly fd: number; readonly path: string };
  /** The large blob is complete and verified; the file is the sink's. */
  large(digest: Digest, path: string): void;
  /** The transfer was cut: the file is unfinished, and the sink's to keep for the next time. */
  unfinished?(digest: Digest, path: string): void;
  /** The sender does not have it (any more). */
  gone(digest: Digest): void;
}

type ListHead = Extract<BlobDataHead, { type: 'chunk-list' }>;
type ChunkHead = Extract<BlobDataHead, { type: 'chunk' }>;

/** Work on a blob that has no end in sight: the longest step is a chunk. */
interface Job {
  readonly blob: ChunkedBlob;
  readonly steps: Generator<undefined, void>;
}

export class BlobReceiver implements Disposable {
  readonly #sink: BlobSink;
  readonly #decoder: BlobDataDecoder;
  readonly #requests = new ByteWriter();
  /** The blobs wanted whole, in the order in which they were wanted. */
  #whole = new WantedBlobs();
  /** The large ones that go in chunks. */
  readonly #chunked = new Map<string, ChunkedBlob>();
  #stream: StreamedBlob | undefined;
  #jobs: Job[] = [];
  /** Ends of rounds that the sender has not confirmed. */
  #openRounds = 0;
  /** All is wanted; chunks that are asked for later make another round by themselves. */
  #isEnding = false;
  /** The sender has not been asked to confirm the last requests. */
  #needsRoundEnd = false;

  constructor(sink: BlobSink) {
    this.#sink = sink;
    this.#decoder = new BlobDataDecoder({
      admit: (head) => this.#admit(head),
      record: (head, bytes) => this.#accept(head, bytes),
    });
  }

  /** Blobs wanted and neither here nor gone. */
  get outstanding(): number {
    return this.#whole.outstanding + this.#chunked.size;
  }

  /** True when everything wanted is here or gone, the sender has said so, and no work is left. */
  get isRoundOver(): boolean {
    return this.#isSettled() && this.outstanding === 0;
  }

  /** Asks for a blob, named in text or raw; one that is on its way already is not asked for again. */
  want(name: Digest | Uint8Array, size: number): void {
    const raw = typeof name === 'string' ? digestBytes(name) : asBuffer(name);
    if (this.#whole.isWanted(raw) || this.#chunkedOf(raw) !== undefined) return;
    this.#isEnding = false;
    if (size >= LARGE_BLOB_BYTES && size <= MAX_CHUNKED_BYTES && this.#hasBasis(raw, size)) {
      const digest = toDigest(raw);
      const key = keyOf(raw);
      const ask = (firstIndex: number, count: number): void =>
        this.#request({ type: 'want-chunks', digest: raw, firstIndex, count });
      this.#chunked.set(key, new ChunkedBlob({ digest, size, sink: this.#sink, ask }));
      this.#request({ type: 'want-chunk-list', digest: raw, size });
    } else {
      this.#whole.add(raw, size);
      this.#needsRoundEnd = true;
      this.#askForWhole();
    }
  }

  /** Everything is wanted: the sender is to say when it has answered. */
  endRound(): void {
    this.#isEnding = true;
    this.#needsRoundEnd = true;
    this.#endRoundIfIdle();
  }

  /** What is to be sent to the sender, in order; undefined where there is nothing. */
  takeRequests(): Buffer | undefined {
    this.#askForWhole();
    this.#endRoundIfIdle();
    return this.#requests.length === 0 ? undefined : this.#requests.take();
  }

  /**
   * Takes data in, cut anywhere. Throws DIGEST_MISMATCH on wrong bytes, BAD_MESSAGE on anything that no
   * sender may send, DISK_FULL, and what the sink throws; the receiver is to be disposed of then.
   */
  push(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
  }

  /**
   * Goes on with comparing older versions and verifying large files, for about `budgetMs`. Returns true
   * while there is more to do. Throws as `push` does.
   */
  work(budgetMs = 10): boolean {
    const end = performance.now() + budgetMs;
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      if (job.steps.next().done === true) this.#jobs.shift();
      else if (performance.now() >= end) return true;
    }
    this.#endRoundIfIdle();
    this.#refuseUnanswered();
    return false;
  }

  /** Closes every file. Unfinished large ones are handed back to the sink. */
  [Symbol.dispose](): void {
    for (const { steps } of this.#jobs.splice(0)) steps.return();
    this.#stream?.leave();
    this.#stream = undefined;
    for (const blob of this.#chunked.values()) blob.leave();
    this.#chunked.clear();
    this.#whole = new WantedBlobs();
  }

  #admit(head: BlobDataHead): void {
    if (this.#stream !== undefined) {
      const isPart = head.type === 'stream-data' || head.type === 'stream-end';
      const isItsEnd = head.type === 'gone' && toDigest(head.digest) === this.#stream.digest;
      if (!isPart && !isItsEnd) throw badRecord(`${head.type} within a stream`);
      return;
    }
    switch (head.type) {
      case 'blob':
      case 'stream':
        if (this.#whole.awaitedSize(head.digest) !== head.size)
          throw badRecord('a blob that was not asked for');
        if (head.type === 'stream' && head.size < LARGE_BLOB_BYTES)
          throw badRecord('a small blob in pieces');
        return;
      case 'chunk-list':
        if (this.#chunkedOf(head.digest)?.awaitsListed(head.firstIndex, head.count) !== true)
          throw badRecord('a chunk list that was not asked for');
        return;
      case 'chunk':
        if (this.#chunkedOf(head.digest)?.awaitsChunk(head.index, head.length) !== true)
          throw badRecord('a chunk that was not asked for');
        return;
      case 'stream-data':
      case 'stream-end':
        throw badRecord(`${head.type} without a stream`);
      case 'ahead':
      case 'entry':
        throw badRecord('a file ahead among blobs');
      case 'gone':
      case 'round-end':
        return;
    }
  }

  #accept(head: BlobDataHead, bytes: Buffer): void {
    switch (head.type) {
      case 'blob':
        this.#acceptBlob(head.digest, bytes);
        return;
      case 'stream':
        this.#stream = new StreamedBlob(toDigest(head.digest), head.size, this.#sink);
        return;
      case 'ahead':
      case 'entry':
        return;
      case 'stream-data':
        this.#stream?.append(bytes);
        return;
      case 'stream-end':
        this.#endStream();
        return;
      case 'chunk-list':
        this.#acceptListed(head, bytes);
        return;
      case 'chunk':
        this.#acceptChunk(head, bytes);
        return;
      case 'gone':
        this.#acceptGone(head.digest);
        return;
      case 'round-end':
        this.#acceptRoundEnd();
    }
  }

  #acceptBlob(raw: Uint8Array, bytes: Buffer): void {
    const digest = toDigest(raw);
    if (!hashBytes(bytes).equals(raw)) throw digestMismatch(digest);
    this.#whole.answered(raw);
    this.#sink.small(digest, bytes);
  }

  #endStream(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#stream = undefined;
    stream.finish();
    this.#whole.answered(digestBytes(stream.digest));
    this.#sink.large(stream.digest, stream.path);
  }

  #acceptListed(head: ListHead, digests: Buffer): void {
    const blob = this.#chunkedOf(head.digest);
    if (blob === undefined) return;
    // The bytes are only lent, and what is not here is awaited by its digest.
    this.#jobs.push({ blob, steps: this.#build(blob, blob.compare(Buffer.from(digests))) });
  }

  #acceptChunk(head: ChunkHead, bytes: Buffer): void {
    const blob = this.#chunkedOf(head.digest);
    if (blob === undefined) return;
    blob.put(head.index, bytes);
    if (blob.hasAllChunks) this.#jobs.push({ blob, steps: this.#complete(blob) });
  }

  *#build(blob: ChunkedBlob, comparing: Generator<undefined, void>): Generator<undefined, void> {
    yield* comparing;
    if (blob.hasAllChunks) yield* this.#complete(blob);
  }

  *#complete(blob: ChunkedBlob): Generator<undefined, void> {
    yield* blob.verify();
    this.#chunked.delete(keyOf(digestBytes(blob.digest)));
    this.#sink.large(blob.digest, blob.path);
  }

  #acceptGone(raw: Uint8Array): void {
    const key = keyOf(raw);
    const chunked = this.#chunked.get(key);
    if (chunked === undefined && this.#whole.awaitedSize(raw) === undefined)
      throw badRecord('that a blob is gone which was not asked for');
    this.#stream?.abandon();
    this.#stream = undefined;
    if (chunked !== undefined) {
      for (const job of this.#jobs) if (job.blob === chunked) job.steps.return();
      this.#jobs = this.#jobs.filter((job) => job.blob !== chunked);
      chunked.abandon();
    }
    this.#whole.answered(raw);
    this.#chunked.delete(key);
    this.#sink.gone(toDigest(raw));
  }

  #acceptRoundEnd(): void {
    if (this.#openRounds === 0) throw badRecord('the end of a round that was not asked for');
    this.#openRounds -= 1;
    this.#refuseUnanswered();
  }

  #chunkedOf(raw: Uint8Array): ChunkedBlob | undefined {
    return this.#chunked.size === 0 ? undefined : this.#chunked.get(keyOf(raw));
  }

  #askForWhole(): void {
    for (const blob of this.#whole.ask()) this.#request({ type: 'want', ...blob });
  }

  #request(request: BlobRequest): void {
    encodeRequest(this.#requests, request);
    this.#needsRoundEnd = true;
  }

  #endRoundIfIdle(): void {
    if (!this.#isEnding || !this.#needsRoundEnd || this.#jobs.length > 0) return;
    if (this.#whole.hasUnasked) return;
    this.#request({ type: 'round-end' });
    this.#needsRoundEnd = false;
    this.#openRounds += 1;
  }

  #isSettled(): boolean {
    return (
      this.#isEnding && !this.#needsRoundEnd && this.#openRounds === 0 && this.#jobs.length === 0
    );
  }

  /** Else a sender that leaves something out would be waited for without end. */
  #refuseUnanswered(): void {
    if (this.#isSettled() && this.outstanding > 0)
      throw badRecord(`an end of the round with ${this.outstanding} blobs unanswered`);
  }

  #hasBasis(raw: Uint8Array, size: number): boolean {
    const fd = this.#sink.basis(toDigest(raw), size);
    if (fd !== undefined) closeSync(fd);
    return fd !== undefined;
  }
}

function keyOf(raw: Uint8Array): string {
  return asBuffer(raw).toString('latin1');
}
