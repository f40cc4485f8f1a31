import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, openSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { PRIVATE_DIRECTORY_MODE, ensurePrivateDirectory } from '../util/atomic-file.js';
import { printable } from '../util/printable.js';

/** Every place below a host's state directory: nothing else in the code joins these names. */
export interface StatePaths {
  readonly root: string;
  readonly identity: string;
  readonly clients: string;
  readonly contexts: string;
  readonly workspaces: string;
  readonly blobs: string;
  readonly runs: string;
  readonly controlSocket: string;
}

/** `RMTX_STATE_DIR`, or the platform's place for a program's state. */
export function defaultStateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const named = env['RMTX_STATE_DIR'];
  if (named !== undefined && named !== '') return path.resolve(named);
  const home = os.homedir();
  if (process.platform === 'darwin')
    return path.join(home, 'Library', 'Application Support', 'rmtx');
  if (process.platform === 'win32')
    return path.join(env['LOCALAPPDATA'] ?? path.join(home, 'AppData', 'Local'), 'rmtx');
  const base = env['XDG_STATE_HOME'];
  return path.join(
    base !== undefined && path.isAbsolute(base) ? base : path.join(home, '.local', 'state'),
    'rmtx',
  );
}

/**
 * Makes what is missing and checks the rest: the directory must belong to this user and is closed to
 * others (repaired where it was not). Throws ERR_RMTX_STATE_UNSAFE for another owner.
 */
export function openStateDirectory(directory: string): StatePaths {
  const root = path.resolve(directory);
  try {
    ensurePrivateDirectory(root);
  } catch (error) {
    if (!['EEXIST', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) throw error;
    throw notOurDirectory(root);
  }
  closeToOthers(root);
  const paths: StatePaths = {
    root,
    identity: path.join(root, 'identity'),
    clients: path.join(root, 'clients'),
    contexts: path.join(root, 'contexts'),
    workspaces: path.join(root, 'workspaces'),
    blobs: path.join(root, 'blobs'),
    runs: path.join(root, 'runs'),
    controlSocket: controlSocketPath(root),
  };
  for (const name of ['clients', 'contexts', 'workspaces', 'blobs', 'runs'] as const)
    ensurePrivateDirectory(paths[name]);
  return paths;
}

function closeToOthers(root: string): void {
  if (process.platform === 'win32') return;
  const stats = lstatSync(root);
  if (!stats.isDirectory() || stats.uid !== process.getuid?.()) throw notOurDirectory(root);
  if ((stats.mode & 0o077) !== 0) chmodSync(root, PRIVATE_DIRECTORY_MODE);
}

function notOurDirectory(root: string): RmtxError {
  return new RmtxError(
    'ERR_RMTX_STATE_UNSAFE',
    `the state directory ${printable(root)} is not a directory of this user`,
    { hint: 'choose another with --state-dir' },
  );
}

const SOCKET_NAME = 'control.sock';
/** The kernel cuts longer socket paths without a word (sockaddr_un holds 108 bytes, 104 on macOS). */
const MAX_SOCKET_PATH_BYTES = 100;

function controlSocketPath(root: string): string {
  const hash = createHash('sha256').update(root).digest('hex').slice(0, 16);
  if (process.platform === 'win32') return `\\\\.\\pipe\\rmtx-${hash}`;
  const inside = path.join(root, SOCKET_NAME);
  if (Buffer.byteLength(inside) <= MAX_SOCKET_PATH_BYTES) return inside;
  // The socket is the directory's lock, so its place must not depend on anybody's environment.
  return (
    shortNameOf(root) ?? path.join(os.tmpdir(), `rmtx-${process.getuid?.() ?? 0}-${hash}.sock`)
  );
}

const openDirectories = new Map<string, number>();

/** Linux: the same file by way of a descriptor of its directory, which stays open. */
function shortNameOf(root: string): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const fd = openDirectories.get(root) ?? openSync(root, 'r');
  openDirectories.set(root, fd);
  const directory = `/proc/self/fd/${fd}`;
  return existsSync(directory) ? path.join(directory, SOCKET_NAME) : undefined;
}
