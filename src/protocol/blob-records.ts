/**
 * How blobs are asked for and sent, on two channels of a connection; either side may be the receiver.
 *
 *   requests (receiver → sender)              data (sender → receiver), in the order of the requests
 *   WANT digest size                          BLOB digest size, bytes         below 4 MiB
 *                                             STREAM digest size, STREAM_DATA length, bytes …, STREAM_END
 *   WANT_CHUNK_LIST digest size               CHUNK_LIST digest firstIndex count, digests   one after the other
 *   WANT_CHUNKS digest firstIndex count       CHUNK digest index length, bytes   for each
 *   (any of these)                            GONE digest
 *   ROUND_END                                 ROUND_END
 *
 * Before the first round the client may send files ahead that the host wants to have as soon as it can, on a
 * channel of their own: AHEAD index, STREAM_DATA length, bytes …, STREAM_END for each.
 *
 * Before that, what a first scan finds may go up as it is found, on a channel of its own, in walk order: ENTRY
 * length, an upsert of sync/change-codec.ts, for each directory and small file, after that of a file its BLOB.
 *
 * A record is a type byte, then raw digests of 32 bytes and varints. GONE also ends a stream whose file
 * changed under the sender; a stream is good only once STREAM_END came and the digest is right. The last record of
 * a list comes once the sender has found the whole to be the blob; else GONE comes in its place.
 */
import { LARGE_BLOB_BYTES, MAX_CHUNK_BYTES } from '../store/chunk-list.js';
import { DIGEST_BYTES } from '../store/digest.js';
import { MAX_RECORD_BYTES } from '../sync/change-codec.js';
import type { ByteReader, ByteWriter } from '../util/bytes.js';
import { MAX_HEAD_BYTES, asBuffer, badRecord, readHead } from './blob-record-head.js';
import type { ReadHead } from './blob-record-head.js';

const BLOB = 1;
const STREAM = 2;
const STREAM_DATA = 3;
const STREAM_END = 4;
const CHUNK_LIST = 5;
const CHUNK = 6;
const GONE = 7;
const ROUND_END = 8;
const AHEAD = 9;
const ENTRY = 10;

/** Bytes of one STREAM_DATA record at most; both sides hold one in memory. */
export const MAX_STREAM_DATA_BYTES = 1024 * 1024;
/**
 * Chunks in one CHUNK_LIST record; a list takes as many records as it needs, in order. So the receiver compares
 * its older version while the sender still reads: 64 MiB take 40 ms.
 */
export const MAX_LISTED_CHUNKS = 64;
/** A file that goes ahead with its entry is no larger: above this it costs what its bytes cost, whatever the way. */
export const MAX_ENTRY_CONTENT_BYTES = 64 * 1024;
/** A change record with its length before it. */
export const MAX_ENTRY_RECORD_BYTES = MAX_RECORD_BYTES + 3;
/** A buffer grown for an unusual record is given back after it. */
const KEPT_BUFFER_BYTES = 1024 * 1024;
const MIN_BUFFER_BYTES = 64 * 1024;

/** What precedes the bytes of a data record, or the whole record where it has none. */
export type BlobDataHead =
  | { readonly type: 'blob'; readonly digest: Uint8Array; readonly size: number }
  | { readonly type: 'stream'; readonly digest: Uint8Array; readonly size: number }
  | { readonly type: 'stream-data'; readonly length: number }
  | { readonly type: 'stream-end' }
  | {
      readonly type: 'chunk-list';
      readonly digest: Uint8Array;
      readonly firstIndex: number;
      readonly count: number;
    }
  | {
      readonly type: 'chunk';
      readonly digest: Uint8Array;
      readonly index: number;
      readonly length: number;
    }
  | { readonly type: 'gone'; readonly digest: Uint8Array }
  | { readonly type: 'round-end' }
  | { readonly type: 'ahead'; readonly index: number }
  | { readonly type: 'entry'; readonly length: number };

export function encodeDataHead(writer: ByteWriter, head: BlobDataHead): void {
  switch (head.type) {
    case 'blob':
      writer.u8(BLOB).raw(head.digest).varint(head.size);
      return;
    case 'stream':
      writer.u8(STREAM).raw(head.digest).varint(head.size);
      return;
    case 'stream-data':
      writer.u8(STREAM_DATA).varint(head.length);
      return;
    case 'stream-end':
      writer.u8(STREAM_END);
      return;
    case 'chunk-list':
      writer.u8(CHUNK_LIST).raw(head.digest).varint(head.firstIndex).varint(head.count);
      return;
    case 'chunk':
      writer.u8(CHUNK).raw(head.digest).varint(head.index).varint(head.length);
      return;
    case 'gone':
      writer.u8(GONE).raw(head.digest);
      return;
    case 'round-end':
      writer.u8(ROUND_END);
      return;
    case 'ahead':
      writer.u8(AHEAD).varint(head.index);
      return;
    case 'entry':
      writer.u8(ENTRY).varint(head.length);
  }
}

export interface BlobDataHandler {
  /** Called before memory is spent on the record's bytes; throws to refuse it. */
  admit(head: BlobDataHead): void;
  /**
   * A record. `bytes` are all that follow its head, good during the call only; a `stream-data` record comes in
   * as many calls as its bytes came in.
   */
  record(head: BlobDataHead, bytes: Buffer): void;
}

const NO_BYTES = Buffer.alloc(0);

/**
 * Takes data records out of a byte stream cut anywhere. A record that lies within one push is handed on
 * as a view; else its bytes are gathered, copied once, 16 MiB at most (a chunk).
 */
export class BlobDataDecoder {
  readonly #handler: BlobDataHandler;
  readonly #headBytes = Buffer.alloc(MAX_HEAD_BYTES);
  #headLength = 0;
  /** The record whose bytes are being gathered. */
  #head: BlobDataHead | undefined;
  #isHeadOwn = false;
  #bodyLength = 0;
  #gathered = 0;
  #buffer: Buffer = NO_BYTES;

  constructor(handler: BlobDataHandler) {
    this.#handler = handler;
  }

  get isMidRecord(): boolean {
    return this.#head !== undefined || this.#headLength > 0;
  }

  /** Throws BAD_MESSAGE on bytes that are no record, and what the handler throws. */
  push(bytes: Uint8Array): void {
    const chunk = asBuffer(bytes);
    let position = 0;
    while (position < chunk.length) {
      position =
        this.#head === undefined
          ? this.#readHead(chunk, position)
          : this.#readBody(chunk, position, this.#head);
    }
    // What was pushed may be overwritten from here on, and the head refers to it.
    if (this.#head !== undefined && 'digest' in this.#head && !this.#isHeadOwn)
      this.#head = { ...this.#head, digest: Buffer.from(this.#head.digest) };
    this.#isHeadOwn = true;
  }

  #readHead(chunk: Buffer, position: number): number {
    let read: ReadHead<BlobDataHead> | undefined;
    let end: number;
    if (this.#headLength === 0) {
      read = readHead(chunk.subarray(position), readDataHead);
      end = position + (read?.length ?? 0);
    } else {
      const before = this.#headLength;
      const count = chunk.copy(this.#headBytes, before, position);
      read = readHead(this.#headBytes.subarray(0, before + count), readDataHead);
      end = position + (read?.length ?? 0) - before;
    }
    if (read === undefined) {
      this.#headLength += chunk.copy(this.#headBytes, this.#headLength, position);
      return chunk.length;
    }
    this.#headLength = 0;
    this.#startBody(read.head);
    return end;
  }

  #startBody(head: BlobDataHead): void {
    const length = bodyLengthOf(head);
    this.#handler.admit(head);
    if (length === 0) {
      this.#handler.record(head, NO_BYTES);
      return;
    }
    this.#head = head;
    this.#isHeadOwn = false;
    this.#bodyLength = length;
    this.#gathered = 0;
  }

  #readBody(chunk: Buffer, position: number, head: BlobDataHead): number {
    const end = Math.min(chunk.length, position + this.#bodyLength - this.#gathered);
    if (end - position === this.#bodyLength) {
      this.#head = undefined;
      this.#handler.record(head, chunk.subarray(position, end));
      return end;
    }
    if (head.type === 'stream-data') {
      // A piece of a stream has no meaning as a whole: what came is handed on, and need not be copied.
      this.#gathered += end - position;
      if (this.#gathered === this.#bodyLength) this.#head = undefined;
      this.#handler.record(head, chunk.subarray(position, end));
      return end;
    }
    if (this.#buffer.length < this.#bodyLength)
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(this.#bodyLength, MIN_BUFFER_BYTES));
    this.#gathered += chunk.copy(this.#buffer, this.#gathered, position, end);
    if (this.#gathered === this.#bodyLength) {
      this.#head = undefined;
      this.#handler.record(head, this.#buffer.subarray(0, this.#bodyLength));
      if (this.#buffer.length > KEPT_BUFFER_BYTES) this.#buffer = NO_BYTES;
    }
    return end;
  }
}

function readDataHead(reader: ByteReader): BlobDataHead {
  const type = reader.u8();
  switch (type) {
    case BLOB:
      return { type: 'blob', digest: reader.raw(DIGEST_BYTES), size: reader.varint() };
    case STREAM:
      return { type: 'stream', digest: reader.raw(DIGEST_BYTES), size: reader.varint() };
    case STREAM_DATA:
      return { type: 'stream-data', length: reader.varint() };
    case STREAM_END:
      return { type: 'stream-end' };
    case CHUNK_LIST:
      return {
        type: 'chunk-list',
        digest: reader.raw(DIGEST_BYTES),
        firstIndex: reader.varint(),
        count: reader.varint(),
      };
    case CHUNK:
      return {
        type: 'chunk',
        digest: reader.raw(DIGEST_BYTES),
        index: reader.varint(),
        length: reader.varint(),
      };
    case GONE:
      return { type: 'gone', digest: reader.raw(DIGEST_BYTES) };
    case ROUND_END:
      return { type: 'round-end' };
    case AHEAD:
      return { type: 'ahead', index: reader.varint() };
    case ENTRY:
      return { type: 'entry', length: reader.varint() };
    default:
      throw badRecord(`a blob record of unknown type ${type}`);
  }
}

/** The bytes that follow a head; refuses what no sender may send. */
function bodyLengthOf(head: BlobDataHead): number {
  switch (head.type) {
    case 'blob':
      if (head.size >= LARGE_BLOB_BYTES) throw badRecord('a large blob in one piece');
      return head.size;
    case 'stream-data':
      if (head.length === 0 || head.length > MAX_STREAM_DATA_BYTES)
        throw badRecord(`a stream piece of ${head.length} bytes`);
      return head.length;
    case 'entry':
      if (head.length === 0 || head.length > MAX_ENTRY_RECORD_BYTES)
        throw badRecord(`an entry of ${head.length} bytes`);
      return head.length;
    case 'chunk-list':
      if (head.count === 0 || head.count > MAX_LISTED_CHUNKS)
        throw badRecord(`a list of ${head.count} chunks`);
      return head.count * DIGEST_BYTES;
    case 'chunk':
      if (head.length === 0 || head.length > MAX_CHUNK_BYTES)
        throw badRecord(`a chunk of ${head.length} bytes`);
      return head.length;
    case 'stream':
    case 'stream-end':
    case 'gone':
    case 'round-end':
    case 'ahead':
      return 0;
  }
}
