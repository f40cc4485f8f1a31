import { lstatSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { RmtxError } from '../errors.js';
import { ensurePrivateDirectory } from '../util/atomic-file.js';
import { OwnerLock } from '../util/owner-lock.js';
import { printable } from '../util/printable.js';
import { respond, serveRoutes } from './routes.js';
import type { Routes } from './routes.js';

/** Another host that is starting has listened or failed by then. */
const START_LIMIT_MS = 5000;

/**
 * The host's local socket: the commands of the same user talk to the running host through it, and it is
 * the lock of the state directory (Node has no flock, and a socket dies with its process).
 */
export class ControlSocket implements AsyncDisposable {
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
  }

  /** Takes the state directory for this process. Throws ERR_RMTX_STATE_IN_USE where a host has it. */
  static async acquire(
    socketPath: string,
    options: {
      readonly stateDirectory: string;
      readonly routes: () => Routes;
      readonly log: (line: string) => void;
    },
  ): Promise<ControlSocket> {
    const { stateDirectory, routes, log } = options;
    const guard = await takeStartGuard(stateDirectory);
    try {
      if (await isAnswering(socketPath)) throw inUse(stateDirectory);
      if (process.platform !== 'win32') rmSync(socketPath, { force: true });
      const server = http.createServer((request, response) => {
        // A web page cannot reach a local socket; a request that claims an origin is refused anyway.
        if (request.headers.origin !== undefined) respond(response, 403, {});
        else void serveRoutes(routes(), { request, response, log });
      });
      await listen(server, socketPath);
      return new ControlSocket(server);
    } finally {
      guard.release();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    // Removes the socket before it stops listening: what is there afterwards is another host's.
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function listen(server: http.Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The directory is private already; in a shared /tmp the socket's own mode has to do it.
    const previousUmask = process.umask(0o177);
    server.listen(socketPath, () => {
      server.off('error', reject);
      resolve();
    });
    process.umask(previousUmask);
  });
}

/** True when a live process accepts on the socket; a stale file refuses. */
function isAnswering(socketPath: string): Promise<boolean> {
  if (process.platform !== 'win32') {
    const stats = lstatSync(socketPath, { throwIfNoEntry: false });
    if (stats !== undefined && stats.uid !== process.getuid?.())
      throw new RmtxError('ERR_RMTX_STATE_UNSAFE', `${socketPath} belongs to another user`);
  }
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * Covers the moment between looking at the socket and listening on it: of two hosts that start at the
 * same time only one may remove a stale socket.
 */
async function takeStartGuard(stateDirectory: string): Promise<OwnerLock> {
  const directory = path.join(stateDirectory, 'starting');
  ensurePrivateDirectory(directory);
  const guard = await OwnerLock.acquire(directory, START_LIMIT_MS);
  if (guard === undefined) throw inUse(stateDirectory);
  return guard;
}

function inUse(stateDirectory: string): RmtxError {
  return new RmtxError(
    'ERR_RMTX_STATE_IN_USE',
    `another rmtx host uses this state directory (${printable(stateDirectory)})`,
    {
      hint: 'stop it, or give this one another --state-dir',
    },
  );
}
