import { randomBytes } from 'node:crypto';
import { chmod, lstat, readdir, rename, rm } from 'node:fs/promises';
import { systemErrorCode } from '../errors.js';

/** In bytes below the top. Every system takes more, whatever the top is and the last name. */
const LONG_PATH = 600;
const REPAIRABLE = ['EACCES', 'EPERM', 'ENOTEMPTY', 'ENAMETOOLONG'];
/** How often it is tried again after nothing was brought up: `rm` fails before all its parts have ended. */
const MAX_IDLE_ATTEMPTS = 3;

/**
 * Deletes a tree, also one that holds read-only directories (Go's module cache, Nix, Bazel leave such) or
 * is deeper than a path can be long; links in it are removed, never followed. Nothing there is no error.
 */
export async function removeTree(directory: string): Promise<void> {
  for (let idleAttempts = 0; ;) {
    try {
      await rm(directory, { recursive: true, force: true });
      return;
    } catch (error) {
      if (!REPAIRABLE.includes(systemErrorCode(error) ?? '')) throw error;
      if (idleAttempts === MAX_IDLE_ATTEMPTS) throw error;
      // What was brought up may be closed and deep in its turn.
      const hasBroughtUp = await makeRemovable(Buffer.from(directory));
      idleAttempts = hasBroughtUp ? 0 : idleAttempts + 1;
    }
  }
}

/** Opens directories, and brings to the top what lies too deep; true where there was any of the latter. */
async function makeRemovable(top: Buffer): Promise<boolean> {
  let hasBroughtUp = false;
  const visit = async (directory: Buffer): Promise<void> => {
    if (!(await lstat(directory)).isDirectory()) return;
    await chmod(directory, 0o700);
    for (const entry of await readdir(directory, { withFileTypes: true, encoding: 'buffer' })) {
      if (!entry.isDirectory()) continue;
      const inner = child(directory, entry.name);
      if (inner.length - top.length <= LONG_PATH) {
        await unlessGone(visit(inner));
        continue;
      }
      const place = child(top, Buffer.from(`.deep-${randomBytes(8).toString('hex')}`));
      await unlessGone(rename(inner, place));
      hasBroughtUp = true;
    }
  };
  await unlessGone(visit(top));
  return hasBroughtUp;
}

/** Parts of a failed `rm` are still at work. */
async function unlessGone(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}

/** Names need not be UTF-8. */
function child(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name]);
}
