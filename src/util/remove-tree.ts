import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import type { Dirent } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import { runInSlices } from './slices.js';
import type { Steps } from './slices.js';

/** In bytes below the top. Every system takes more, whatever the top is and the last name. */
const LONG_PATH = 600;
const REPAIRABLE = ['EACCES', 'EPERM', 'ENOTEMPTY', 'ENAMETOOLONG'];

/**
 * Deletes a tree, also one that holds read-only directories (Go's module cache, Nix, Bazel leave such) or
 * is deeper than a path can be long; links in it are removed, never followed. Nothing there is no error.
 *
 * One path after the other, with synchronous calls in slices: `rm` of node:fs/promises begins with all of them
 * at once (250,000 files: 460 MB), and takes longer.
 */
export async function removeTree(directory: string): Promise<void> {
  for (let isOpened = false; ;) {
    try {
      await runInSlices(removeInSteps(Buffer.from(directory)));
      return;
    } catch (error) {
      if (!REPAIRABLE.includes(systemErrorCode(error) ?? '')) throw error;
      // What was brought up may be closed and deep in its turn.
      const hasBroughtUp = await runInSlices(makeRemovable(Buffer.from(directory)));
      if (isOpened && !hasBroughtUp) throw error;
      isOpened = !hasBroughtUp;
    }
  }
}

/** A directory whose names are being removed. */
interface Level {
  readonly path: Buffer;
  readonly entries: Dirent<Buffer>[];
}

function* removeInSteps(top: Buffer): Steps<void> {
  if (!isDirectory(top)) {
    unlessGone(() => removeFile(top));
    return;
  }
  const levels: Level[] = [{ path: top, entries: listed(top) }];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const entry = level.entries.pop();
    if (entry === undefined) {
      const { path } = level;
      unlessGone(() => rmdirSync(path));
      levels.pop();
    } else {
      const path = child(level.path, entry.name);
      if (entry.isDirectory()) levels.push({ path, entries: listed(path) });
      else unlessGone(() => removeFile(path));
    }
    yield;
  }
}

/** Opens directories, and brings to the top what lies too deep; true where there was any of the latter. */
function* makeRemovable(top: Buffer): Steps<boolean> {
  let hasBroughtUp = false;
  const directories = isDirectory(top) ? [top] : [];
  for (let found = directories.pop(); found !== undefined; found = directories.pop()) {
    const directory = found;
    yield;
    unlessGone(() => chmodSync(directory, 0o700));
    for (const entry of listed(directory)) {
      if (!entry.isDirectory()) continue;
      const inner = child(directory, entry.name);
      if (inner.length - top.length <= LONG_PATH) {
        directories.push(inner);
        continue;
      }
      const place = child(top, Buffer.from(`.deep-${randomBytes(8).toString('hex')}`));
      unlessGone(() => renameSync(inner, place));
      hasBroughtUp = true;
    }
  }
  return hasBroughtUp;
}

/** Names need not be UTF-8. */
function listed(directory: Buffer): Dirent<Buffer>[] {
  const list = (): Dirent<Buffer>[] =>
    readdirSync(directory, { withFileTypes: true, encoding: 'buffer' });
  return unlessGone(list) ?? [];
}

function isDirectory(path: Buffer): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function removeFile(path: Buffer): void {
  // Windows deletes no read-only file, but rm makes it writable first.
  if (process.platform === 'win32') rmSync(path.toString(), { force: true });
  else unlinkSync(path);
}

/** Somebody else may be removing the same tree. */
function unlessGone<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

function child(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name]);
}
