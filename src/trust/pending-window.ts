/**
 * A pairing window asked for while no host runs: `host pair-code` leaves it in the state directory, and
 * the host takes it when it starts. The file holds w and not the code; w is as good as the code to
 * whoever reads it, so the file is private, is gone once taken, and is worthless after its expiry.
 */
import { randomBytes } from 'node:crypto';
import { renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { isRmtxError, systemErrorCode } from '../errors.js';
import { writeFileAtomic } from '../util/atomic-file.js';
import { openPrivateDirectory, readPrivateFile } from '../util/private-file.js';
import { parseStateFile } from '../util/state-file.js';
import { MAX_LABEL_LENGTH, safeLabel } from './label.js';
import { MAX_WINDOW_TTL_MS, createWindowSecret } from './pairing-window.js';
import type { OpenOptions, OpenedWindow, PairingWindow, WindowSecret } from './pairing-window.js';
import { SCALAR_BYTES } from './spake2.js';

const PENDING_FILE = 'pending-window.json';

/** Leaves a window for the next host of this state directory; replaces one that waits there. */
export async function savePendingWindow(
  stateDirectory: string,
  options: OpenOptions,
): Promise<OpenedWindow> {
  openPrivateDirectory(stateDirectory);
  const { code, secret } = await createWindowSecret(options, Date.now());
  const expiresAt = new Date(secret.expiresAtMs);
  const record = {
    version: 1,
    scalar: secret.scalar.toString('hex'),
    expires_at: expiresAt.toISOString(),
    ...(secret.label === undefined ? {} : { label: safeLabel(secret.label) }),
  };
  writeFileAtomic(path.join(stateDirectory, PENDING_FILE), JSON.stringify(record));
  secret.scalar.fill(0);
  return { code, expiresAt };
}

/**
 * Opens the window that waits in the state directory, if any, and returns whether there was one. Of
 * several callers one gets it. Whatever is found is removed first, so a file that cannot be used stands
 * in the way once; what was wrong with it goes to `log`.
 */
export function takePendingWindow(
  stateDirectory: string,
  window: PairingWindow,
  options: { readonly now?: () => number; readonly log?: (line: string) => void } = {},
): boolean {
  const file = path.join(stateDirectory, PENDING_FILE);
  const taken = `${file}.${randomBytes(6).toString('hex')}.taken`;
  try {
    renameSync(file, taken);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    const secret = parseRecord(readPrivateFile(taken) ?? Buffer.alloc(0), file);
    const leftMs = secret.expiresAtMs - (options.now ?? Date.now)();
    // Further away than any window can be: the clock has been set back since.
    if (leftMs <= 0 || leftMs > MAX_WINDOW_TTL_MS) return false;
    window.adopt(secret);
    return true;
  } catch (error) {
    if (!isRmtxError(error)) throw error;
    options.log?.(`the pairing window that was left for this host is dropped: ${error.message}`);
    return false;
  } finally {
    rmSync(taken, { force: true, recursive: true });
  }
}

function parseRecord(bytes: Buffer, file: string): WindowSecret {
  const fields = parseStateFile(bytes, file);
  return {
    scalar: fields.exactBytes('scalar', SCALAR_BYTES),
    expiresAtMs: new Date(fields.time('expires_at')).getTime(),
    label: fields.has('label') ? fields.string('label', MAX_LABEL_LENGTH) : undefined,
  };
}
