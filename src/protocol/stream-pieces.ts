import { systemErrorCode } from '../errors.js';
import { readExactly } from '../store/chunk-list.js';
import { createDigestStream } from '../store/digest.js';
import { TimeSlice } from '../util/time-slice.js';
import { MAX_HEAD_BYTES } from './blob-record-head.js';
import type { RecordBatch } from './record-batch.js';

/** A piece of a stream is not worth its head below this. */
const MIN_STREAM_PIECE_BYTES = 64 * 1024;

/**
 * Sends the first `size` bytes of an open file as the pieces of a stream, read once and hashed on the way.
 * Resolves with their raw digest; undefined where the file is shorter or cannot be read, and the stream is
 * not whole then. Rejects with what sending rejects with.
 */
export async function sendPieces(
  batch: RecordBatch,
  { fd, size }: { readonly fd: number; readonly size: number },
): Promise<Buffer | undefined> {
  const hash = createDigestStream();
  const slice = new TimeSlice();
  let offset = 0;
  while (offset < size) {
    if (batch.room < MIN_STREAM_PIECE_BYTES) await batch.flush();
    const length = Math.min(batch.room - MAX_HEAD_BYTES, size - offset);
    const head = batch.encodeHead({ type: 'stream-data', length });
    const memory = batch.free();
    const piece = memory.subarray(head.length, head.length + length);
    const from = offset;
    if (tryRead(() => readExactly(fd, piece, { offset: from, size })) === undefined)
      return undefined;
    hash.update(piece);
    head.copy(memory);
    batch.commit(head.length + length);
    offset += length;
    if (slice.isOver()) await slice.next();
  }
  return hash.finish();
}

/** What `read` returns, or undefined where the system cannot read the file. */
export function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}
