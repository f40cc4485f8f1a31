import os from 'node:os';
import path from 'node:path';
import { ensurePrivateDirectory } from '../util/atomic-file.js';

/** Where a client keeps its identity, its hosts and what it remembers of each project. */
export interface ClientHome {
  /** Absolute. */
  readonly directory: string;
}

/** `RMTX_HOME`, or `~/.rmtx`; made for the user alone where it is missing. */
export function openClientHome(env: NodeJS.ProcessEnv = process.env): ClientHome {
  const named = env['RMTX_HOME'];
  const directory =
    named === undefined || named === '' ? path.join(os.homedir(), '.rmtx') : path.resolve(named);
  ensurePrivateDirectory(directory);
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
