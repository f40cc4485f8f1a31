import type { DirectoryEntry, FileEntry } from './entry.js';

/**
 * Sends what the first scan of a project finds, in walk order, as it finds it. Otherwise the link and the host
 * would have nothing to do until the last file is hashed.
 */
export interface EntriesAhead {
  directory(entry: DirectoryEntry): void;
  /** `bytes` are good during the call only. Returns whether they are on their way and need not be kept. */
  file(entry: FileEntry, bytes: Buffer): boolean;
  /** To be waited for before the next entry; undefined: there is room. */
  room(): Promise<void> | undefined;
  /** Everything was found; resolves when all that is to be sent is. */
  end(): Promise<void>;
}
