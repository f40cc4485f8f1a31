/**
 * Answers blob requests, in their order, from whatever has the blobs.
 *
 * Reads small files one after the other into one batch, with synchronous calls: five times cheaper a
 * file than promises. Sends nothing that it has not hashed before; only a large file sent whole is
 * hashed on the way, and taken back at its end where it is not what was asked for. What cannot be sent
 * is GONE: a file that changed or vanished never fails the transfer.
 */
import { closeSync, readSync } from 'node:fs';
import {
  LARGE_BLOB_BYTES,
  MAX_CHUNKED_BYTES,
  chunkCountFor,
  chunkDigest,
  chunkLength,
  hasMoreThan,
  createChunkList,
  listChunks,
  readExactly,
} from '../store/chunk-list.js';
import type { ChunkList } from '../store/chunk-list.js';
import type { BlobStore } from '../store/blob-store.js';
import { DIGEST_BYTES, hashBytes, toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { TimeSlice } from '../util/time-slice.js';
import { MAX_HEAD_BYTES, badRecord } from './blob-record-head.js';
import { BlobRequestDecoder } from './blob-requests.js';
import type { BlobRequest } from './blob-requests.js';
import { MAX_LISTED_CHUNKS } from './blob-records.js';
import { RecordBatch } from './record-batch.js';
import type { SendData } from './record-batch.js';
import { sendPieces, tryRead } from './stream-pieces.js';

export interface BlobSource {
  /**
   * Told of each blob that is asked for, once for each time; throws to refuse it. Of chunks no list has
   * more asked for than there are.
   */
  wanted?(digest: Digest): void;
  /** The bytes of a blob below 4 MiB where they are in memory, known to be its own; spares opening it. */
  content?(digest: Digest): Buffer | undefined;
  /**
   * Opens the file that should hold this blob; undefined where the receiver may not have it or it is
   * not there. The sender closes it. Its bytes need not be verified.
   */
  open(digest: Digest, size: number): { readonly fd: number } | undefined;
  /** The file that was opened does not hold the blob (any more). */
  changed?(digest: Digest): void;
}

/** What a blob store can serve; a damaged blob is put aside. */
export function blobStoreSource(store: BlobStore): BlobSource {
  return {
    open: (digest) => {
      const fd = store.openUnverified(digest);
      return fd === undefined ? undefined : { fd };
    },
    changed: (digest) => store.quarantineDamaged(digest),
  };
}

interface BlobToSend {
  readonly digest: Buffer;
  readonly size: number;
}

type ChunksRequest = Extract<BlobRequest, { type: 'want-chunks' }>;

interface SentList {
  readonly list: ChunkList;
  /** How many chunks may still be asked for: a receiver needs none twice. */
  chunksLeft: number;
}

/** For one receiver on one connection. */
export class BlobSender {
  readonly #source: BlobSource;
  readonly #decoder = new BlobRequestDecoder();
  readonly #batch: RecordBatch;
  /** By digest (raw, as a latin1 string), for the requests of chunks that follow; null: gone since. */
  readonly #lists = new Map<string, SentList | null>();
  readonly #slice = new TimeSlice();
  /** For what does not fit into a batch: a file below 4 MiB, or a chunk. */
  #large: Buffer = Buffer.alloc(0);
  #isBusy = false;
  #blobsSent = 0;

  constructor(source: BlobSource, data: SendData) {
    this.#source = source;
    this.#batch = new RecordBatch(data);
  }

  /** Blobs sent so far; one that goes in chunks counts from its list on. */
  get blobsSent(): number {
    return this.#blobsSent;
  }

  /**
   * Answers the requests in these bytes, cut anywhere; resolves when the answers are sent. Calls must
   * not overlap. Rejects with BAD_MESSAGE on what is no request, and with what `data` rejects with.
   */
  async push(requestBytes: Uint8Array): Promise<void> {
    if (this.#isBusy) throw new Error('Internal error: overlapping calls of BlobSender.push');
    this.#isBusy = true;
    try {
      for (const request of this.#decoder.push(requestBytes)) {
        // Without a promise where none is needed: most requests are for what is in memory.
        if (request.type !== 'want' || !this.#addContent(request)) await this.#answer(request);
        if (this.#slice.isOver()) await this.#slice.next();
      }
      await this.#batch.finish();
    } finally {
      this.#isBusy = false;
    }
  }

  /** Throws BAD_MESSAGE where the requests ended within one. */
  end(): void {
    this.#decoder.end();
  }

  async #answer(request: BlobRequest): Promise<void> {
    switch (request.type) {
      case 'want':
        await this.#withFile(request, (fd) =>
          request.size < LARGE_BLOB_BYTES
            ? this.#sendWhole(request, fd)
            : this.#stream(request, fd),
        );
        return;
      case 'want-chunk-list':
        if (request.size < LARGE_BLOB_BYTES || request.size > MAX_CHUNKED_BYTES)
          throw badRecord(`a request for the chunks of a blob of ${request.size} bytes`);
        this.#source.wanted?.(toDigest(request.digest));
        await this.#withFile(request, (fd) => this.#sendChunkList(request, fd));
        return;
      case 'want-chunks':
        await this.#sendChunks(request);
        return;
      case 'round-end':
        await this.#batch.addHead({ type: 'round-end' });
    }
  }

  /** Runs `send` on the blob's file; says GONE where there is none or `send` returns false. */
  async #withFile(blob: BlobToSend, send: (fd: number) => Promise<boolean>): Promise<void> {
    const digest = toDigest(blob.digest);
    const opened = this.#source.open(digest, blob.size);
    if (opened !== undefined) {
      let isSent: boolean;
      try {
        isSent = await send(opened.fd);
      } finally {
        closeSync(opened.fd);
      }
      if (isSent) return;
      this.#source.changed?.(digest);
    }
    const key = keyOf(blob.digest);
    if (this.#lists.has(key)) this.#lists.set(key, null);
    await this.#batch.addHead({ type: 'gone', digest: blob.digest });
  }

  /**
   * Tells the source of the request, and puts the blob into the batch where it is in memory and there is
   * room; false where it has to be read, as the one that fills a batch is.
   */
  #addContent({ digest, size }: BlobToSend): boolean {
    const name = toDigest(digest);
    this.#source.wanted?.(name);
    if (size + MAX_HEAD_BYTES > this.#batch.room) return false;
    const content = this.#source.content?.(name);
    if (content?.length !== size) return false;
    const head = this.#batch.encodeHead({ type: 'blob', digest, size });
    const memory = this.#batch.free();
    head.copy(memory);
    content.copy(memory, head.length);
    this.#batch.commit(head.length + size);
    this.#blobsSent += 1;
    return true;
  }

  async #sendWhole(blob: BlobToSend, fd: number): Promise<boolean> {
    const head = this.#batch.encodeHead({ type: 'blob', digest: blob.digest, size: blob.size });
    const recordBytes = head.length + blob.size;
    const isAlone = recordBytes >= this.#batch.capacity;
    // One byte more than the file should have shows, without a further call, that it has just that.
    if (!isAlone && this.#batch.room <= recordBytes) await this.#batch.flush();
    const memory = isAlone ? this.#largeBuffer(recordBytes + 1) : this.#batch.free();
    const body = memory.subarray(head.length, recordBytes);
    const count = tryRead(() => readUpTo(fd, memory.subarray(head.length, recordBytes + 1)));
    if (count !== blob.size || !hashBytes(body).equals(blob.digest)) return false;
    head.copy(memory);
    if (isAlone) await this.#batch.sendAlone(memory.subarray(0, recordBytes));
    else this.#batch.commit(recordBytes);
    this.#blobsSent += 1;
    return true;
  }

  /** Large and sent for the first time: read once, hashed on the way. */
  async #stream(blob: BlobToSend, fd: number): Promise<boolean> {
    await this.#batch.addHead({ type: 'stream', digest: blob.digest, size: blob.size });
    const digest = await sendPieces(this.#batch, { fd, size: blob.size });
    if (hasMoreThan(fd, blob.size) || digest?.equals(blob.digest) !== true) return false;
    await this.#batch.addHead({ type: 'stream-end' });
    this.#blobsSent += 1;
    return true;
  }

  async #sendChunkList(blob: BlobToSend, fd: number): Promise<boolean> {
    const list = createChunkList(blob.size);
    const count = chunkCountFor(blob.size);
    this.#lists.set(keyOf(blob.digest), { list, chunksLeft: count });
    const listing = listChunks(fd, list);
    let sent = 0;
    let step = tryRead(() => listing.next());
    for (; step?.done === false; step = tryRead(() => listing.next())) {
      if (step.value - sent > MAX_LISTED_CHUNKS) {
        await this.#sendListed(blob, list, { firstIndex: sent, count: MAX_LISTED_CHUNKS });
        sent += MAX_LISTED_CHUNKS;
      }
      if (this.#slice.isOver()) await this.#slice.next();
    }
    // The end of a list says that it is the blob's.
    if (step?.done !== true || step.value?.equals(blob.digest) !== true) return false;
    await this.#sendListed(blob, list, { firstIndex: sent, count: count - sent });
    this.#blobsSent += 1;
    return true;
  }

  async #sendListed(
    { digest }: BlobToSend,
    list: ChunkList,
    { firstIndex, count }: { readonly firstIndex: number; readonly count: number },
  ): Promise<void> {
    const head = this.#batch.encodeHead({ type: 'chunk-list', digest, firstIndex, count });
    const start = firstIndex * DIGEST_BYTES;
    const listed = list.digests.subarray(start, start + count * DIGEST_BYTES);
    await this.#batch.sendAlone(Buffer.concat([head, listed]));
  }

  async #sendChunks(request: ChunksRequest): Promise<void> {
    const sent = this.#lists.get(keyOf(request.digest));
    // Taken back since the request was made.
    if (sent === null) return;
    const { firstIndex, count } = request;
    if (sent === undefined || firstIndex + count > chunkCountFor(sent.list.size))
      throw badRecord('a request for chunks that no list names');
    if (count === 0 || count > sent.chunksLeft)
      throw badRecord('a request for more chunks than there are');
    sent.chunksLeft -= count;
    const { list } = sent;
    const blob = { digest: request.digest, size: list.size };
    await this.#withFile(blob, async (fd) => {
      for (let index = firstIndex; index < firstIndex + count; index++)
        if (!(await this.#sendChunk(fd, { digest: request.digest, list, index }))) return false;
      return true;
    });
  }

  async #sendChunk(
    fd: number,
    chunk: { readonly digest: Buffer; readonly list: ChunkList; readonly index: number },
  ): Promise<boolean> {
    const { digest, list, index } = chunk;
    const length = chunkLength(list, index);
    const head = this.#batch.encodeHead({ type: 'chunk', digest, index, length });
    const memory = this.#largeBuffer(head.length + length);
    const body = memory.subarray(head.length);
    const where = { offset: index * list.chunkSize, size: list.size };
    if (tryRead(() => readExactly(fd, body, where)) === undefined) return false;
    if (!hashBytes(body).equals(chunkDigest(list, index))) return false;
    head.copy(memory);
    await this.#batch.sendAlone(memory);
    if (this.#slice.isOver()) await this.#slice.next();
    return true;
  }

  #largeBuffer(byteCount: number): Buffer {
    if (this.#large.length < byteCount) this.#large = Buffer.allocUnsafeSlow(byteCount);
    return this.#large.subarray(0, byteCount);
  }
}

function keyOf(digest: Buffer): string {
  return digest.toString('latin1');
}

/** Fills the buffer from the start of the file, as far as the file goes; returns how far. */
function readUpTo(fd: number, buffer: Buffer): number {
  let done = readSync(fd, buffer, 0, buffer.length, 0);
  // All but the last byte is what the caller hopes for, and a file that ends early is rare.
  while (done < buffer.length - 1) {
    const count = readSync(fd, buffer, done, buffer.length - done, done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
