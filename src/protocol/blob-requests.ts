/** The requests of a blob receiver, as bytes and back. The table is in blob-records.ts. */
import { DIGEST_BYTES } from '../store/digest.js';
import type { ByteReader, ByteWriter } from '../util/bytes.js';
import { asBuffer, badRecord, readHead } from './blob-record-head.js';

const WANT = 1;
const WANT_CHUNK_LIST = 2;
const WANT_CHUNKS = 3;
const ROUND_END = 4;

export type BlobRequest =
  | { readonly type: 'want'; readonly digest: Buffer; readonly size: number }
  | { readonly type: 'want-chunk-list'; readonly digest: Buffer; readonly size: number }
  | {
      readonly type: 'want-chunks';
      readonly digest: Buffer;
      readonly firstIndex: number;
      readonly count: number;
    }
  | { readonly type: 'round-end' };

export function encodeRequest(writer: ByteWriter, request: BlobRequest): void {
  switch (request.type) {
    case 'want':
      writer.u8(WANT).raw(request.digest).varint(request.size);
      return;
    case 'want-chunk-list':
      writer.u8(WANT_CHUNK_LIST).raw(request.digest).varint(request.size);
      return;
    case 'want-chunks':
      writer.u8(WANT_CHUNKS).raw(request.digest).varint(request.firstIndex).varint(request.count);
      return;
    case 'round-end':
      writer.u8(ROUND_END);
  }
}

/** Takes requests out of a byte stream cut anywhere. Digests are views, good until the next push. */
export class BlobRequestDecoder {
  #rest: Buffer = Buffer.alloc(0);

  /** Throws BAD_MESSAGE on bytes that are no request. */
  *push(bytes: Uint8Array): Generator<BlobRequest> {
    const whole = this.#rest.length === 0 ? asBuffer(bytes) : Buffer.concat([this.#rest, bytes]);
    let position = 0;
    while (position < whole.length) {
      const read = readHead(whole.subarray(position), readRequest);
      if (read === undefined) break;
      position += read.length;
      yield read.head;
    }
    this.#rest = Buffer.from(whole.subarray(position));
  }

  /** Throws BAD_MESSAGE where the stream ends within a request. */
  end(): void {
    if (this.#rest.length > 0) throw badRecord('requests that end within a record');
  }
}

function readRequest(reader: ByteReader): BlobRequest {
  const type = reader.u8();
  switch (type) {
    case WANT:
      return { type: 'want', digest: reader.raw(DIGEST_BYTES), size: reader.varint() };
    case WANT_CHUNK_LIST:
      return { type: 'want-chunk-list', digest: reader.raw(DIGEST_BYTES), size: reader.varint() };
    case WANT_CHUNKS:
      return {
        type: 'want-chunks',
        digest: reader.raw(DIGEST_BYTES),
        firstIndex: reader.varint(),
        count: reader.varint(),
      };
    case ROUND_END:
      return { type: 'round-end' };
    default:
      throw badRecord(`a blob request of unknown type ${type}`);
  }
}
