/**
 * Sends large files that are new here to the host while they are hashed: read once, and on their way before
 * the manifest can name them. Otherwise the whole project would be hashed first, and the link idle.
 */
import { AheadFileSender } from '../protocol/ahead-file-sender.js';
import type { SendChannel } from '../protocol/connection.js';
import { badMessage } from '../protocol/bad-message.js';
import { CHANNEL, MAX_AHEAD_FILES } from '../protocol/messages.js';
import { LARGE_BLOB_BYTES } from '../store/chunk-list.js';
import { hashOpenFile } from '../sync/hash-file.js';
import type { HashedBytes } from '../sync/hash-file.js';
import type { LargeFileReader } from '../sync/large-files.js';
import type { Steps } from '../util/slices.js';
import { isConnectionLoss } from './connect.js';
import type { HostConnection } from './connect.js';

interface Way {
  readonly channel: SendChannel;
  readonly sender: AheadFileSender;
  /** What the host wants: the size that was offered, by index. */
  readonly wanted: ReadonlyMap<number, number>;
}

/**
 * For one scan. Where there is no host, or it has something of these sizes already, the files are only hashed. A
 * connection that breaks costs reading the file once more, and nothing else: what the host got is not lost.
 */
export class AheadFiles implements LargeFileReader {
  readonly minBytes = LARGE_BLOB_BYTES;
  readonly #host: Promise<HostConnection>;
  readonly #onProgress: (progress: { readonly done: number; readonly total: number }) => void;
  #way: Way | undefined;
  #bytes = 0;

  /** `host` resolves when it has opened the run. */
  constructor(
    host: Promise<HostConnection>,
    onProgress: (progress: { readonly done: number; readonly total: number }) => void,
  ) {
    this.#host = host;
    this.#onProgress = onProgress;
  }

  /** Sent so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Rejects with what the host refused the run with. */
  async offer(sizes: readonly number[]): Promise<void> {
    try {
      await this.#offer(await this.#host, sizes.slice(0, MAX_AHEAD_FILES));
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
    }
  }

  *read(
    index: number,
    { fd, limit }: { readonly fd: number; readonly limit: number },
  ): Steps<HashedBytes> {
    const way = this.#way;
    if (way?.wanted.get(index) === limit) {
      let digest: HashedBytes['digest'] | undefined;
      yield way.sender.send(index, { fd, size: limit }).then(
        (sent) => {
          digest = sent;
        },
        (error: unknown) => {
          this.#way = undefined;
          if (!isConnectionLoss(error)) throw error;
        },
      );
      if (digest !== undefined) return { size: limit, digest, bytes: undefined };
    }
    return yield* hashOpenFile(fd, limit);
  }

  end(): void {
    this.#way?.channel.end();
    this.#way = undefined;
  }

  async #offer(host: HostConnection, sizes: readonly number[]): Promise<void> {
    host.send({ type: 'ahead', sizes });
    const { indexes } = await host.inbox.next('ahead_wanted');
    if (indexes.length === 0) return;
    const wanted = new Map<number, number>();
    for (const index of indexes) {
      const size = sizes[index];
      if (size === undefined) throw badMessage(`file ${index} of ${sizes.length} is wanted`);
      wanted.set(index, size);
    }
    const total = [...wanted.values()].reduce((sum, size) => sum + size, 0);
    const channel = host.connection.openSend(CHANNEL.ahead);
    const sender = new AheadFileSender((piece, options) => {
      this.#bytes += piece.length;
      this.#onProgress({ done: Math.min(this.#bytes, total), total });
      return channel.write(piece, options);
    });
    this.#way = { channel, sender, wanted };
  }
}
