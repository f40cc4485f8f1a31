/**
 * Blobs on disk, one directory for each client identity: `blobs/ab/<hex>` and nothing else that counts.
 *
 * A blob appears under its name in one step (a rename) and never changes. Any number of processes may
 * write and read at once; nobody waits for a lock. What lies under a name is believed only after its
 * bytes were hashed once by this object: a torn write, a bad disk or a stray process costs a blob,
 * never a wrong file. Everything but `collect` is synchronous, for a worker or for few blobs.
 */
import {
  chmodSync,
  closeSync,
  fstatSync,
  futimesSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  utimesSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { PRIVATE_FILE_MODE, ensurePrivateDirectory, writeFully } from '../util/atomic-file.js';
import { ctimeUsOf, mtimeUsOf } from '../util/microseconds.js';
import { runAtOnce, runInSlices } from '../util/slices.js';
import { SAFE_CREATE_FLAGS, SAFE_READ_FLAGS } from '../util/safe-path.js';
import { QUARANTINE, TEMPORARY, blobPath, hexOf, randomName } from './blob-names.js';
import { hashFile } from './chunk-list.js';
import { collectBlobs, listBlobs } from './collect-blobs.js';
import type { CollectOptions, CollectResult, StoredBlob } from './collect-blobs.js';
import { copyAndHash } from './copy-and-hash.js';
import { digestBytes, hashBytes, toDigest } from './digest.js';
import type { Digest } from './digest.js';
import { explainWriteError } from './disk-full.js';
import { PartialBlobs } from './partial-blobs.js';
import { openPrivateDirectory } from '../util/private-file.js';

/** Forgetting what was verified only costs verifying it again. */
const MAX_VERIFIED = 50_000;
/** Linux before 6.13 stamps files by a clock of 4 to 10 ms. */
const CLOCK_TICK_MS = 20;

export class BlobStore {
  readonly directory: string;
  readonly partials: PartialBlobs;
  /** What lstat said of a file when its bytes were found right. */
  readonly #verified = new Map<Digest, string>();

  /** Makes the directory, private, where it is missing. Throws STATE_UNSAFE where it is not ours. */
  constructor(directory: string) {
    openPrivateDirectory(directory);
    ensurePrivateDirectory(path.join(directory, TEMPORARY));
    this.directory = directory;
    this.partials = new PartialBlobs(directory);
  }

  /** True where the blob seems to be there, of this size if one is given; its bytes are not looked at. */
  has(digest: Digest, size?: number): boolean {
    const stats = this.#lstat(digest);
    return stats !== undefined && (size === undefined || stats.size === size);
  }

  /**
   * Stores bytes. Throws DIGEST_MISMATCH where they are not the digest's, DISK_FULL where they do not
   * fit; nothing is left behind then. A damaged file under the name is replaced.
   */
  putBytes(digest: Digest, bytes: Uint8Array): void {
    if (!hashBytes(bytes).equals(digestBytes(digest)))
      throw new RmtxError('ERR_RMTX_DIGEST_MISMATCH', `the bytes put are not those of ${digest}`);
    if (this.#freshen(digest, bytes.length)) return;
    const temporary = this.#temporary();
    this.#orRemove(temporary, () => {
      const fd = openSync(temporary, SAFE_CREATE_FLAGS, PRIVATE_FILE_MODE);
      try {
        writeFully(fd, bytes);
      } finally {
        closeSync(fd);
      }
      this.#moveIn(digest, temporary);
    });
  }

  /**
   * Copies an open file's content in, sharing its blocks where the file system can. Returns what was
   * stored: where the file changed meanwhile that is what the copy holds, never a mixture unnoticed.
   * `expectedSize` only chooses the way of copying.
   */
  putFromFd(fd: number, expectedSize: number): { digest: Digest; size: number } {
    const temporary = this.#temporary();
    return this.#orRemove(temporary, () => {
      const copied = copyAndHash(fd, temporary, expectedSize);
      const digest = toDigest(copied.digest);
      if (this.#freshen(digest, copied.size)) rmSync(temporary, { force: true });
      else this.#moveIn(digest, temporary);
      return { digest, size: copied.size };
    });
  }

  /**
   * Moves a file in that is said to be this blob; it is verified when it is used. Returns false, and
   * leaves it alone, where it is missing or no regular file. A file that has other names is copied:
   * whoever has those could change it.
   */
  adopt(digest: Digest, file: string | Buffer): boolean {
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (stats?.isFile() !== true) return false;
    if (this.#isVerified(digest)) {
      this.#freshen(digest, stats.size);
      rmSync(file, { force: true });
      return true;
    }
    const temporary = this.#temporary();
    return this.#orRemove(temporary, () => {
      if (stats.nlink === 1 && renameWithin(file, temporary)) {
        // Another file may have been put in its place since we looked.
        if (!lstatSync(temporary).isFile()) {
          renameSync(temporary, file);
          return false;
        }
        chmodSync(temporary, PRIVATE_FILE_MODE);
      } else if (!this.#copyIn(file, temporary)) {
        return false;
      }
      const now = Date.now() / 1000;
      utimesSync(temporary, now, now);
      this.#moveIn(digest, temporary);
      return true;
    });
  }

  /**
   * Opens a blob for reading, undefined where it is missing. Its bytes are hashed on first use, and
   * again where the file has changed since; a damaged one is put aside and missing from then on. The
   * caller closes the descriptor.
   */
  open(digest: Digest): number | undefined {
    const fd = this.openUnverified(digest);
    if (fd === undefined) return undefined;
    try {
      if (this.#verify(digest, fd)) return fd;
      this.#quarantine(digest, fstatSync(fd).ino);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
    return undefined;
  }

  /** Opens a blob for a reader that verifies what it reads, such as the sender of blobs. */
  openUnverified(digest: Digest): number | undefined {
    let fd: number;
    try {
      fd = openSync(blobPath(this.directory, digest), SAFE_READ_FLAGS);
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EMLINK'].includes(systemErrorCode(error) ?? ''))
        return undefined;
      throw error;
    }
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    return undefined;
  }

  /** Puts a blob aside where its bytes are wrong, for a reader that {@link openUnverified} gave it to. */
  quarantineDamaged(digest: Digest): void {
    this.#verified.delete(digest);
    const fd = this.open(digest);
    if (fd !== undefined) closeSync(fd);
  }

  remove(digest: Digest): void {
    rmSync(blobPath(this.directory, digest), { force: true });
    this.#verified.delete(digest);
  }

  /** Every blob, in no order. */
  list(): Iterable<StoredBlob> {
    return listBlobs(this.directory);
  }

  /** Removes old blobs that nothing refers to, and old leftovers; gives way to the event loop. */
  collect(options: CollectOptions): Promise<CollectResult> {
    return runInSlices(collectBlobs(this.directory, options));
  }

  /** True where the blob is there and good; it counts as just put then. */
  #freshen(digest: Digest, size: number): boolean {
    if (!this.has(digest, size)) return false;
    const fd = this.openUnverified(digest);
    if (fd === undefined) return false;
    try {
      if (!this.#verify(digest, fd)) return false;
      const now = Date.now() / 1000;
      futimesSync(fd, now, now);
      this.#remember(digest, fstatSync(fd));
      return true;
    } finally {
      closeSync(fd);
    }
  }

  #verify(digest: Digest, fd: number): boolean {
    const stats = fstatSync(fd);
    if (this.#verified.get(digest) === signatureOf(stats)) return true;
    const found = runAtOnce(hashFile(fd, stats.size));
    if (found?.equals(digestBytes(digest)) !== true) return false;
    this.#remember(digest, stats);
    return true;
  }

  #remember(digest: Digest, stats: Stats): void {
    this.#verified.delete(digest);
    // A write within the same tick of the file system's clock would not show in its times.
    if (Date.now() - stats.ctimeMs < CLOCK_TICK_MS) return;
    if (this.#verified.size >= MAX_VERIFIED) this.#verified.clear();
    this.#verified.set(digest, signatureOf(stats));
  }

  #isVerified(digest: Digest): boolean {
    const known = this.#verified.get(digest);
    if (known === undefined) return false;
    const stats = this.#lstat(digest);
    return stats !== undefined && signatureOf(stats) === known;
  }

  /**
   * Puts a damaged file aside for whoever wants to know why. Another process may have replaced it by a
   * good one since it was read: that one goes back.
   */
  #quarantine(digest: Digest, ino: number): void {
    const source = blobPath(this.directory, digest);
    const aside = path.join(this.directory, QUARANTINE, `${hexOf(digest)}.${randomName()}`);
    ensurePrivateDirectory(path.dirname(aside));
    this.#verified.delete(digest);
    try {
      if (lstatSync(source).ino !== ino) return;
      renameSync(source, aside);
      if (lstatSync(aside).ino !== ino) renameSync(aside, source);
    } catch (error) {
      // Another process put it aside first.
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }

  #copyIn(file: string | Buffer, target: string): boolean {
    const fd = openSync(file, SAFE_READ_FLAGS);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) return false;
      copyAndHash(fd, target, stats.size);
    } finally {
      closeSync(fd);
    }
    rmSync(file, { force: true });
    return true;
  }

  #moveIn(digest: Digest, temporary: string): void {
    const target = blobPath(this.directory, digest);
    try {
      renameSync(temporary, target);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      ensurePrivateDirectory(path.dirname(target));
      renameSync(temporary, target);
    }
  }

  /** Runs what fills a temporary file; nothing of it stays where that fails. */
  #orRemove<T>(temporary: string, fill: () => T): T {
    try {
      return fill();
    } catch (error) {
      rmSync(temporary, { force: true });
      throw explainWriteError(error, this.directory);
    }
  }

  #temporary(): string {
    return path.join(this.directory, TEMPORARY, randomName());
  }

  #lstat(digest: Digest): Stats | undefined {
    const stats = lstatSync(blobPath(this.directory, digest), { throwIfNoEntry: false });
    return stats?.isFile() === true ? stats : undefined;
  }
}

/** Any write to the file changes it: the change time cannot be set back. */
function signatureOf(stats: Stats): string {
  return `${stats.ino}:${stats.size}:${mtimeUsOf(stats)}:${ctimeUsOf(stats)}`;
}

/** False where the two are on different file systems. */
function renameWithin(from: string | Buffer, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EXDEV') return false;
    throw error;
  }
}
