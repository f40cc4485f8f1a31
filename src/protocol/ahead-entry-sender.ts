import { encodeChange } from '../sync/change-codec.js';
import type { DirectoryEntry, FileEntry } from '../sync/entry.js';
import { ByteWriter } from '../util/bytes.js';
import { MAX_HEAD_BYTES } from './blob-record-head.js';
import { MAX_ENTRY_CONTENT_BYTES, MAX_ENTRY_RECORD_BYTES } from './blob-records.js';
import { RecordBatch } from './record-batch.js';
import type { SendData } from './record-batch.js';

/** What one entry takes at most. */
const MAX_ADDED_BYTES = 2 * MAX_HEAD_BYTES + MAX_ENTRY_RECORD_BYTES + MAX_ENTRY_CONTENT_BYTES;

/** Sends directories and small files, entry and content, before any manifest: in walk order, as a scan finds them. */
export class AheadEntrySender {
  readonly #batch: RecordBatch;

  constructor(data: SendData) {
    this.#batch = new RecordBatch(data);
  }

  /** Whether one more can be added without a {@link flush}. */
  get hasRoom(): boolean {
    return this.#batch.room >= MAX_ADDED_BYTES;
  }

  addDirectory(entry: DirectoryEntry): void {
    this.#addEntry(entry);
  }

  /** `content` is the entry's own, {@link MAX_ENTRY_CONTENT_BYTES} at most, and copied. */
  addFile(entry: FileEntry, digest: Buffer, content: Buffer): void {
    this.#addEntry(entry);
    this.#add(this.#batch.encodeHead({ type: 'blob', digest, size: entry.size }));
    this.#add(content);
  }

  /** Resolves when there is room; rejects with what `data` rejects with. */
  flush(): Promise<void> {
    return this.#batch.flush();
  }

  /** Sends all; resolves when it is gone. */
  finish(): Promise<void> {
    return this.#batch.finish();
  }

  #addEntry(entry: DirectoryEntry | FileEntry): void {
    const record = new ByteWriter();
    encodeChange(record, { type: 'upsert', entry });
    this.#add(this.#batch.encodeHead({ type: 'entry', length: record.length }));
    this.#add(record.view());
  }

  #add(bytes: Buffer): void {
    this.#batch.commit(bytes.copy(this.#batch.free()));
  }
}
