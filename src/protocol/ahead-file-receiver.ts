import { toDigest } from '../store/digest.js';
import type { Digest } from '../store/digest.js';
import { badRecord } from './blob-record-head.js';
import { BlobDataDecoder } from './blob-records.js';
import type { BlobDataHead } from './blob-records.js';
import { StreamedFile } from './streamed-file.js';

/** Where files go that are sent ahead. What a call throws, `push` throws. */
export interface AheadSink {
  /** Opens a file for reading and writing; the receiver closes it. */
  create(size: number): { readonly fd: number; readonly path: string };
  /** A file has come; its name is what was received, whatever the sender thinks. The file is the sink's. */
  arrived(digest: Digest, path: string): void;
  /** The transfer was cut in the midst of a file that was offered with this size. */
  unfinished(size: number, path: string): void;
}

/** Takes in what an ahead-file-sender sends: a state machine, to be fed like a blob receiver. */
export class AheadFileReceiver implements Disposable {
  readonly #sink: AheadSink;
  /** Those that may still come: the size that each was offered with, by index. */
  readonly #sizes: Map<number, number>;
  readonly #decoder: BlobDataDecoder;
  #current: { readonly file: StreamedFile; readonly size: number } | undefined;

  constructor(wanted: ReadonlyMap<number, number>, sink: AheadSink) {
    this.#sizes = new Map(wanted);
    this.#sink = sink;
    this.#decoder = new BlobDataDecoder({
      admit: (head) => this.#admit(head),
      record: (head, bytes) => this.#accept(head, bytes),
    });
  }

  /**
   * Takes data in, cut anywhere. Throws BAD_MESSAGE on what was not asked for or is larger than it was
   * offered, DISK_FULL, and what the sink throws; the receiver is to be disposed of then.
   */
  push(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
  }

  [Symbol.dispose](): void {
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined) return;
    current.file.close();
    this.#sink.unfinished(current.size, current.file.path);
  }

  #admit(head: BlobDataHead): void {
    const isPart = head.type === 'stream-data' || head.type === 'stream-end';
    if (this.#current === undefined ? head.type !== 'ahead' : !isPart)
      throw badRecord(`${head.type} where files are sent ahead`);
    if (head.type === 'ahead' && !this.#sizes.has(head.index))
      throw badRecord('a file ahead that was not asked for');
  }

  #accept(head: BlobDataHead, bytes: Buffer): void {
    if (head.type === 'ahead') {
      const size = this.#sizes.get(head.index) ?? 0;
      this.#sizes.delete(head.index);
      this.#current = { file: new StreamedFile(this.#sink.create(size), size), size };
    } else if (head.type === 'stream-data') {
      this.#current?.file.append(bytes);
    } else if (this.#current !== undefined) {
      const { file } = this.#current;
      this.#current = undefined;
      this.#sink.arrived(toDigest(file.finish().digest), file.path);
    }
  }
}
