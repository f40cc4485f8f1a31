import { digestBytes, hashBytes } from '../store/digest.js';
import { ChangeDecoder } from '../sync/change-codec.js';
import { isWithin, parentOf } from '../sync/entry.js';
import type { DirectoryEntry, FileEntry } from '../sync/entry.js';
import { printable } from '../util/printable.js';
import { digestMismatch } from './blob-file.js';
import { badRecord } from './blob-record-head.js';
import { BlobDataDecoder, MAX_ENTRY_CONTENT_BYTES } from './blob-records.js';
import type { BlobDataHead } from './blob-records.js';

/** Where entries go, in walk order, each after the directory that it is in. What a call throws, `push` throws. */
export interface AheadEntrySink {
  directory(entry: DirectoryEntry): void;
  /** `bytes` are the entry's, verified, and good during the call only. */
  file(entry: FileEntry, bytes: Buffer): void;
}

/** Takes in what an ahead-entry sender sends: a state machine, to be fed like a blob receiver. */
export class AheadEntryReceiver {
  readonly #sink: AheadEntrySink;
  readonly #changes = new ChangeDecoder();
  readonly #decoder: BlobDataDecoder;
  /** Those above the last entry, and that itself where it is one. */
  readonly #directories: string[] = [];
  /** Whose content is still to come. */
  #file: FileEntry | undefined;
  #fileDigest: Buffer | undefined;

  constructor(sink: AheadEntrySink) {
    this.#sink = sink;
    this.#decoder = new BlobDataDecoder({
      admit: (head) => this.#admit(head),
      record: (_head, bytes) => this.#accept(bytes),
    });
  }

  /**
   * Takes data in, cut anywhere. Throws BAD_MESSAGE on anything that is no entry in walk order with its
   * content, DIGEST_MISMATCH on wrong bytes, and what the sink throws; the receiver is of no more use then.
   */
  push(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
  }

  /** Throws BAD_MESSAGE where something is still to come. */
  end(): void {
    if (this.#decoder.isMidRecord || this.#file !== undefined)
      throw badRecord('an entry ahead that is not whole');
  }

  #admit(head: BlobDataHead): void {
    const { size } = this.#file ?? {};
    const isExpected =
      this.#file === undefined
        ? head.type === 'entry'
        : head.type === 'blob' &&
          head.size === size &&
          this.#fileDigest?.equals(head.digest) === true;
    if (!isExpected) throw badRecord(`${head.type} where entries are sent ahead`);
  }

  #accept(bytes: Buffer): void {
    const file = this.#file;
    if (file === undefined) {
      this.#acceptEntry(bytes);
      return;
    }
    if (this.#fileDigest?.equals(hashBytes(bytes)) !== true) throw digestMismatch(file.digest);
    this.#file = undefined;
    this.#sink.file(file, bytes);
  }

  #acceptEntry(record: Buffer): void {
    const [change, ...others] = this.#changes.push(record);
    this.#changes.end();
    if (others.length > 0) throw badRecord('several entries as one');
    if (change?.type !== 'upsert' || change.entry.kind === 'symlink')
      throw badRecord('what is no file or directory ahead');
    const { entry } = change;
    this.#leaveFor(entry.path);
    if (entry.kind === 'directory') {
      this.#directories.push(entry.path);
      this.#sink.directory(entry);
      return;
    }
    if (entry.size > MAX_ENTRY_CONTENT_BYTES)
      throw badRecord(`a file of ${entry.size} bytes among entries ahead`);
    this.#file = entry;
    this.#fileDigest = digestBytes(entry.digest);
  }

  #leaveFor(path: string): void {
    let last = this.#directories.at(-1);
    while (last !== undefined && !isWithin(path, last)) {
      this.#directories.pop();
      last = this.#directories.at(-1);
    }
    if (parentOf(path) !== (last ?? ''))
      throw badRecord(`${printable(path)} before the directory that it is in`);
  }
}
