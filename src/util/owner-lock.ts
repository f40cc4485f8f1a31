/**
 * A directory owned by one process at a time, also when owners are killed.
 *
 * The owner is the file `owner.N` with the highest N; it names a process. Whoever finds that process
 * dead makes `owner.N+1` with an exclusive link, so of several that try at once one wins. A stale
 * owner is never deleted to make room: between looking and deleting it may have been replaced by a live
 * one. Only the owner removes what is below it, and its own file last.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemErrorCode } from '../errors.js';
import { PRIVATE_FILE_MODE, readFileIfExists } from './atomic-file.js';
import { currentProcess, livenessOf, parseProcessIdentity } from './process-identity.js';

const OWNER_NAME = /^owner\.([1-9][0-9]{0,8})$/;
/** What a file system without hard links answers. */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];
/** After this long an owner that cannot be seen from here (another machine) is taken for dead. */
const UNSEEN_OWNER_MS = 24 * 60 * 60 * 1000;
const POLL_MS = 25;

export class OwnerLock {
  readonly #directory: string;
  readonly #generation: number;

  private constructor(directory: string, generation: number) {
    this.#directory = directory;
    this.#generation = generation;
  }

  /** Undefined while a live process owns the directory. Throws ENOENT where there is no directory. */
  static tryAcquire(directory: string): OwnerLock | undefined {
    const last = Math.max(0, ...generations(directory));
    const before = last === 0 ? undefined : readOwner(directory, last);
    if (last > 0 && (before === undefined || isOwned(directory, last))) return undefined;
    if (!createOwner(directory, last + 1)) return undefined;
    // If the dead owner's file is gone, somebody else took over, released and perhaps took again.
    if (last === 0 || readOwner(directory, last) === before)
      return new OwnerLock(directory, last + 1);
    rmSync(ownerFile(directory, last + 1));
    return undefined;
  }

  /** Waits for the directory; undefined when it is still owned after `timeoutMs`. */
  static async acquire(directory: string, timeoutMs: number): Promise<OwnerLock | undefined> {
    const endsAt = performance.now() + timeoutMs;
    for (;;) {
      const lock = OwnerLock.tryAcquire(directory);
      if (lock !== undefined || performance.now() >= endsAt) return lock;
      await setTimeout(POLL_MS);
    }
  }

  /** Never fails: what was done under the lock is done. One that stays is a dead owner's when this process ends. */
  release(): void {
    try {
      for (const generation of generations(this.#directory))
        if (generation < this.#generation)
          rmSync(ownerFile(this.#directory, generation), { force: true });
      rmSync(ownerFile(this.#directory, this.#generation), { force: true });
    } catch {
      // A bad disk, or the directory is gone.
    }
  }
}

/** True while the process that took the directory last lives; false where nobody ever did. */
export function hasLiveOwner(directory: string): boolean {
  const last = Math.max(0, ...generations(directory));
  return last > 0 && isOwned(directory, last);
}

function generations(directory: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync(directory)) {
    const match = OWNER_NAME.exec(name);
    if (match !== null) found.push(Number(match[1]));
  }
  return found;
}

function isOwned(directory: string, generation: number): boolean {
  const text = readOwner(directory, generation);
  if (text === undefined) return false;
  const identity = parseProcessIdentity(text);
  const liveness = identity === undefined ? 'unknown' : livenessOf(identity);
  if (liveness !== 'unknown') return liveness === 'alive';
  const stats = statSync(ownerFile(directory, generation), { throwIfNoEntry: false });
  return stats !== undefined && Date.now() - stats.mtimeMs < UNSEEN_OWNER_MS;
}

function readOwner(directory: string, generation: number): string | undefined {
  return readFileIfExists(ownerFile(directory, generation))?.toString('utf8');
}

/** False where the file is there already. The random part makes each owner's text its own. */
function createOwner(directory: string, generation: number): boolean {
  const nonce = randomBytes(6).toString('hex');
  const text = JSON.stringify({ ...currentProcess(), nonce });
  const temporary = path.join(directory, `.owner.${nonce}.tmp`);
  const file = ownerFile(directory, generation);
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode: PRIVATE_FILE_MODE });
    try {
      linkSync(temporary, file);
    } catch (error) {
      if (!NO_LINKS.includes(systemErrorCode(error) ?? '')) throw error;
      // A reader may then see an unfinished file; it takes that for an owner it cannot see.
      writeFileSync(file, text, { flag: 'wx', mode: PRIVATE_FILE_MODE });
    }
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function ownerFile(directory: string, generation: number): string {
  return path.join(directory, `owner.${generation}`);
}
