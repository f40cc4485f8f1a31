import type { Digest } from '../store/digest.js';
import { toDigest } from '../store/digest.js';
import { RecordBatch } from './record-batch.js';
import type { SendData } from './record-batch.js';
import { sendPieces } from './stream-pieces.js';

/** Sends large files ahead: before any manifest names them, while they are hashed for the first time. */
export class AheadFileSender {
  readonly #batch: RecordBatch;

  constructor(data: SendData) {
    this.#batch = new RecordBatch(data);
  }

  /**
   * Sends the first `size` bytes of an open file that was offered under this index; resolves with their
   * digest when they are gone. Undefined where the file is shorter or cannot be read: the other side has
   * some bytes then that nobody will ask for. Calls must not overlap. Rejects with what `data` rejects with.
   */
  async send(
    index: number,
    file: { readonly fd: number; readonly size: number },
  ): Promise<Digest | undefined> {
    await this.#batch.addHead({ type: 'ahead', index });
    const digest = await sendPieces(this.#batch, file);
    await this.#batch.addHead({ type: 'stream-end' });
    await this.#batch.finish();
    return digest === undefined ? undefined : toDigest(digest);
  }
}
