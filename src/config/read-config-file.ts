import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { printable } from '../util/printable.js';

/** A config is a page of text. More is a mistake, and is refused before it is read. */
const MAX_CONFIG_BYTES = 256 * 1024;

/**
 * The text of a config file, or undefined where there is none. A config decides what is sent where, so
 * one that another user could have written is refused (ERR_RMTX_CONFIG_UNTRUSTED): in a shared folder
 * such as /tmp anybody can leave one for those who work below. What was opened is what is checked and
 * read, whatever is put in its place meanwhile.
 */
export function readConfigFile(file: string): string | undefined {
  let fd: number;
  try {
    // Without O_NONBLOCK a FIFO under this name would hang every command below it.
    fd = openSync(
      file,
      constants.O_RDONLY | (process.platform === 'win32' ? 0 : constants.O_NONBLOCK),
    );
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
  try {
    const stats = fstatSync(fd);
    refuseForeignOwner(file, path.dirname(file));
    if (isForeign(stats.uid)) throw untrusted(file, { uid: stats.uid, what: 'it' });
    if (!stats.isFile()) throw invalid(file, 'is not a regular file');
    if (stats.size > MAX_CONFIG_BYTES)
      throw invalid(file, `is larger than ${MAX_CONFIG_BYTES} bytes`);
    const bytes = readFileSync(fd);
    if (!isUtf8(bytes)) throw invalid(file, 'is not UTF-8 text');
    const text = bytes.toString('utf8');
    // Editors on Windows put a byte order mark in front; it belongs to no line.
    return text.startsWith('\uFEFF') ? text.slice(1) : text;
  } finally {
    closeSync(fd);
  }
}

/** Throws ERR_RMTX_CONFIG_UNTRUSTED when `folder`, which `file` governs, belongs to somebody else. */
export function refuseForeignOwner(file: string, folder: string): void {
  const { uid } = statSync(folder);
  if (isForeign(uid)) throw untrusted(file, { uid, what: `the folder ${printable(folder)}` });
}

/** Windows says 0 for every owner, so there is nothing to compare. Root's files are foreign to others. */
function isForeign(uid: number): boolean {
  return process.geteuid !== undefined && uid !== process.geteuid();
}

function untrusted(file: string, owner: { uid: number; what: string }): RmtxError {
  const self = process.geteuid?.() ?? -1;
  return new RmtxError(
    'ERR_RMTX_CONFIG_UNTRUSTED',
    `refusing ${printable(file)}: ${owner.what} belongs to ${userName(owner.uid)}, and rmtx runs as ${userName(self)}`,
    {
      hint: 'work in a folder of your own, or change its owner with chown if it is meant to be yours',
    },
  );
}

function userName(uid: number): string {
  return uid === 0 ? 'root' : `user ${uid}`;
}

function invalid(file: string, what: string): RmtxError {
  return new RmtxError('ERR_RMTX_CONFIG_INVALID', `${printable(file)}: ${what}`);
}

function unreadable(file: string, error: unknown): RmtxError {
  return new RmtxError(
    'ERR_RMTX_CONFIG_INVALID',
    `${printable(file)}: cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
    { cause: error },
  );
}
