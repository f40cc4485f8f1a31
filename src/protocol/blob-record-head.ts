import { RmtxError } from '../errors.js';
import { DIGEST_BYTES } from '../store/digest.js';
import { ByteReader, BytesError } from '../util/bytes.js';

/** No head, and no request, is longer: a type, a digest, three varints. */
export const MAX_HEAD_BYTES = 1 + DIGEST_BYTES + 3 * 8;

export interface ReadHead<T> {
  readonly head: T;
  readonly length: number;
}

/**
 * One head at the start of the bytes, or undefined where more of it is to come. Throws BAD_MESSAGE on a
 * number out of range, and what `read` throws.
 */
export function readHead<T>(
  bytes: Buffer,
  read: (reader: ByteReader) => T,
): ReadHead<T> | undefined {
  const reader = new ByteReader(bytes);
  try {
    return { head: read(reader), length: reader.position };
  } catch (error) {
    if (!(error instanceof BytesError)) throw error;
    if (bytes.length < MAX_HEAD_BYTES) return undefined;
    throw badRecord('a blob record with a number out of range', error);
  }
}

/** The same memory as a Buffer. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function badRecord(what: string, cause?: unknown): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', `the other side sent ${what}`, { cause });
}
