/**
 * Large blobs that a broken connection left unfinished, kept so that the next run need not fetch all of
 * it again. Whatever such a file holds is checked chunk by chunk before it is used.
 *
 * At rest it is `partial/<hex>`, or `partial/size-<bytes>` where the digest was not known yet. Whoever writes
 * one has it under a name of his own, `partial/<hex>.<pid>.<random>`, taken by a rename that only one can win: two runs that fetch one blob
 * at the same time never write into the same file. What a killed process held is taken over as well.
 */
import { constants, openSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../errors.js';
import { PRIVATE_FILE_MODE, ensurePrivateDirectory } from '../util/atomic-file.js';
import { SAFE_READ_FLAGS } from '../util/safe-path.js';
import { PARTIALS, hexOf, randomName } from './blob-names.js';
import type { Digest } from './digest.js';

const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;

export interface OpenPartial {
  /** For reading and writing. */
  readonly fd: number;
  readonly path: string;
}

export class PartialBlobs {
  readonly directory: string;

  constructor(storeDirectory: string) {
    this.directory = path.join(storeDirectory, PARTIALS);
  }

  /**
   * Opens for reading what an interrupted transfer left of this blob, undefined where it is nothing. With a
   * size it may also be what was left of a blob whose digest was not known.
   */
  open(digest: Digest, size?: number): number | undefined {
    const free = this.#findFreeOf(digest, size);
    return free === undefined ? undefined : openIfThere(this.#path(free));
  }

  /**
   * Opens what an interrupted transfer left, or a new empty file. Nobody else has it; end with
   * {@link release}, or move or remove the file. With a size as {@link open}.
   */
  claim(digest: Digest, size?: number): OpenPartial {
    return this.#claim(hexOf(digest), this.#findFreeOf(digest, size));
  }

  /** As {@link claim}, for a file whose digest is not known yet. */
  claimUnnamed(size: number): OpenPartial {
    return this.#claim(unnamed(size), this.#findFree(unnamed(size)));
  }

  /** Keeps an unfinished file for the next run. The one finished last stays, where there are two. */
  release(digest: Digest, claimed: string): void {
    renameIfThere(claimed, this.#path(hexOf(digest)));
  }

  /** As {@link release}. Of two files of one size, the one finished last is worth a try, too. */
  releaseUnnamed(size: number, claimed: string): void {
    renameIfThere(claimed, this.#path(unnamed(size)));
  }

  #claim(name: string, free: string | undefined): OpenPartial {
    ensurePrivateDirectory(this.directory);
    const own = this.#path(`${name}.${process.pid}.${randomName()}`);
    if (free !== undefined) renameIfThere(this.#path(free), own);
    return { fd: openSync(own, OPEN_FLAGS, PRIVATE_FILE_MODE), path: own };
  }

  #findFreeOf(digest: Digest, size: number | undefined): string | undefined {
    const free = this.#findFree(hexOf(digest));
    return free === undefined && size !== undefined ? this.#findFree(unnamed(size)) : free;
  }

  /** The full name of a file of this name that nobody writes. */
  #findFree(name: string): string | undefined {
    const all = this.names().filter((found) => found === name || found.startsWith(`${name}.`));
    return all.includes(name) ? name : all.find((found) => !isHeld(found));
  }

  names(): string[] {
    try {
      return readdirSync(this.directory);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    }
  }

  #path(name: string): string {
    return path.join(this.directory, name);
  }
}

function unnamed(size: number): string {
  return `size-${size}`;
}

/** True where a living process has the file; a number that was given out again only costs a resume. */
export function isHeld(name: string): boolean {
  const pid = Number(name.split('.')[1]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, SAFE_READ_FLAGS);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    // Somebody else was quicker, or the file is finished and gone.
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}
