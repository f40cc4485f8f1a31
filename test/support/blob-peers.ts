import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { BlobSink } from '../../src/protocol/blob-receiver.js';
import type { BlobSource } from '../../src/protocol/blob-sender.js';
import { hashBytes, toDigest } from '../../src/store/digest.js';
import type { Digest } from '../../src/store/digest.js';
import { PartialBlobs } from '../../src/store/partial-blobs.js';

/** The sending side: files by digest, which a test may change behind the sender's back. */
export class SourceFiles implements BlobSource {
  readonly #directory: string;
  readonly files = new Map<Digest, string>();
  readonly changedDigests: Digest[] = [];
  opened = 0;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  add(bytes: Buffer): Digest {
    const digest = toDigest(hashBytes(bytes));
    const file = path.join(this.#directory, digest.slice(7));
    writeFileSync(file, bytes);
    this.files.set(digest, file);
    return digest;
  }

  open(digest: Digest): { fd: number } | undefined {
    const file = this.files.get(digest);
    if (file === undefined) return undefined;
    this.opened += 1;
    return { fd: openSync(file, 'r') };
  }

  changed(digest: Digest): void {
    this.changedDigests.push(digest);
  }
}

/** The receiving side: a directory of finished blobs, partial ones, and older versions. */
export class SinkDirectory implements BlobSink {
  readonly directory: string;
  readonly partials: PartialBlobs;
  readonly goneDigests: Digest[] = [];
  readonly bases = new Map<Digest, string>();
  received = 0;

  constructor(directory: string) {
    this.directory = directory;
    this.partials = new PartialBlobs(directory);
    mkdirSync(directory, { recursive: true });
  }

  has(digest: Digest): boolean {
    return existsSync(this.#path(digest));
  }

  read(digest: Digest): Buffer {
    return readFileSync(this.#path(digest));
  }

  basis(digest: Digest): number | undefined {
    const file = this.bases.get(digest);
    return file === undefined ? this.partials.open(digest) : openSync(file, 'r');
  }

  small(digest: Digest, bytes: Buffer): void {
    this.received += 1;
    const fd = openSync(this.#path(digest), 'wx');
    writeFileSync(fd, bytes);
    closeSync(fd);
  }

  createLarge(digest: Digest): { fd: number; path: string } {
    return this.partials.claim(digest);
  }

  large(digest: Digest, file: string): void {
    this.received += 1;
    renameSync(file, this.#path(digest));
  }

  unfinished(digest: Digest, file: string): void {
    this.partials.release(digest, file);
  }

  gone(digest: Digest): void {
    this.goneDigests.push(digest);
  }

  #path(digest: Digest): string {
    return path.join(this.directory, digest.slice(7));
  }
}
