import os from 'node:os';
import path from 'node:path';
import { RmtxError, systemErrorCode } from '../errors.js';
import { ensurePrivateDirectory } from '../util/atomic-file.js';
import { printable } from '../util/printable.js';

/** Where a client keeps its identity, its hosts and what it remembers of each project. */
export interface ClientHome {
  /** Absolute. */
  readonly directory: string;
}

/** `RMTX_HOME`, or `~/.rmtx`, whether it is there or not. */
export function clientHome(env: NodeJS.ProcessEnv = process.env): ClientHome {
  const named = env['RMTX_HOME'];
  return {
    directory:
      named === undefined || named === '' ? path.join(os.homedir(), '.rmtx') : path.resolve(named),
  };
}

/** The client's home; made for the user alone where it is missing. */
export function openClientHome(env: NodeJS.ProcessEnv = process.env): ClientHome {
  const { directory } = clientHome(env);
  try {
    ensurePrivateDirectory(directory);
  } catch (error) {
    if (!['EEXIST', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) throw error;
    throw new RmtxError('ERR_RMTX_STATE_UNSAFE', `${printable(directory)} is not a directory`, {
      cause: error,
      hint: 'rmtx keeps its state there: move it away, or name another with RMTX_HOME',
    });
  }
  return { directory };
}

export function identityDirectory(home: ClientHome): string {
  return path.join(home.directory, 'identity');
}

export function hostsDirectory(home: ClientHome): string {
  return path.join(home.directory, 'hosts');
}

/** What the client remembers of one project: scan state, manifests, rules. */
export function projectDirectory(home: ClientHome, contextKey: string): string {
  return path.join(home.directory, 'projects', contextKey);
}
