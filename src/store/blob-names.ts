/** Where things lie in a blob store's directory. */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { isDigest } from './digest.js';
import type { Digest } from './digest.js';

export const BLOBS = 'blobs';
export const PARTIALS = 'partial';
export const QUARANTINE = 'quarantine';
export const TEMPORARY = 'tmp';

const ALGORITHM = 'blake3:';

/** The digest's 64 hex digits. Refuses anything else: it becomes part of a path. */
export function hexOf(digest: Digest): string {
  if (!isDigest(digest)) throw new Error('Internal error: not a digest');
  return digest.slice(ALGORITHM.length);
}

/** The digest that a file name stands for, or undefined. */
export function digestOfName(name: string): Digest | undefined {
  const digest = ALGORITHM + name;
  return isDigest(digest) ? digest : undefined;
}

/** 256 directories: 10 million blobs still make directories that every file system is quick with. */
export function blobPath(directory: string, digest: Digest): string {
  const hex = hexOf(digest);
  return path.join(directory, BLOBS, hex.slice(0, 2), hex);
}

/** A name that nobody can have planted a file under. */
export function randomName(): string {
  return randomBytes(9).toString('hex');
}
