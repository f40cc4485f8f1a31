/** Blob stores in directories of their own, and what lies in them. */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { BlobStore } from '../../src/store/blob-store.js';
import { hashBytes, toDigest } from '../../src/store/digest.js';
import type { Digest } from '../../src/store/digest.js';

export interface Place extends Disposable {
  readonly root: string;
  readonly directory: string;
  readonly store: BlobStore;
  file(name: string, bytes: string | Buffer): string;
}

export function place(): Place {
  const root = mkdtempSync(path.join(os.tmpdir(), 'rmtx-store-'));
  const directory = path.join(root, 'store');
  return {
    root,
    directory,
    store: new BlobStore(directory),
    file: (name, bytes) => {
      const file = path.join(root, name);
      writeFileSync(file, bytes);
      return file;
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

export const digestOf = (bytes: string | Buffer): Digest => toDigest(hashBytes(Buffer.from(bytes)));
export const pathOf = (directory: string, digest: Digest): string =>
  path.join(directory, 'blobs', digest.slice(7, 9), digest.slice(7));

export function read(store: BlobStore, digest: Digest): string | undefined {
  const fd = store.open(digest);
  if (fd === undefined) return undefined;
  try {
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Everything in the store that is no blob, as `folder/name`. */
export function leftovers(directory: string): string[] {
  return ['tmp', 'partial', 'quarantine'].flatMap((folder) =>
    existsSync(path.join(directory, folder))
      ? readdirSync(path.join(directory, folder)).map((name) => `${folder}/${name}`)
      : [],
  );
}
