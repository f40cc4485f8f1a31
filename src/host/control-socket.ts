import { closeSync, lstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { RmtxError, systemErrorCode } from '../errors.js';
import { respond, serveRoutes } from './routes.js';
import type { Routes } from './routes.js';

/**
 * The host's local socket: the commands of the same user talk to the running host through it, and it is
 * the lock of the state directory (Node has no flock, and a socket dies with its process).
 */
export class ControlSocket implements AsyncDisposable {
  readonly #server: http.Server;
  readonly #path: string;

  private constructor(server: http.Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /** Takes the state directory for this process. Throws ERR_RMTX_STATE_IN_USE where a host has it. */
  static async acquire(
    path: string,
    options: { readonly routes: () => Routes; readonly log: (line: string) => void },
  ): Promise<ControlSocket> {
    const { routes, log } = options;
    const releaseGuard = takeStartGuard(path);
    try {
      if (await isAnswering(path)) throw inUse(path);
      if (process.platform !== 'win32') rmSync(path, { force: true });
      const server = http.createServer((request, response) => {
        // A web page cannot reach a local socket; a request that claims an origin is refused anyway.
        if (request.headers.origin !== undefined) respond(response, 403, {});
        else void serveRoutes(routes(), { request, response, log });
      });
      await listen(server, path);
      return new ControlSocket(server, path);
    } finally {
      releaseGuard();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    if (process.platform !== 'win32') rmSync(this.#path, { force: true });
  }
}

function listen(server: http.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The directory is private already; in a shared /tmp the socket's own mode has to do it.
    const previousUmask = process.umask(0o177);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
    process.umask(previousUmask);
  });
}

/** True when a live process accepts on the socket; a stale file refuses. */
function isAnswering(path: string): Promise<boolean> {
  if (process.platform !== 'win32') {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && stats.uid !== process.getuid?.())
      throw new RmtxError('ERR_RMTX_STATE_UNSAFE', `${path} belongs to another user`);
  }
  return new Promise((resolve) => {
    const socket = net.connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * Covers the moment between looking at the socket and listening on it: of two hosts that start at the
 * same time only one may remove a stale socket. A guard left by a killed process is taken over.
 */
function takeStartGuard(path: string): () => void {
  if (process.platform === 'win32') return () => undefined;
  const guard = `${path}.starting`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const fd = openSync(guard, 'wx', 0o600);
      writeSync(fd, String(process.pid));
      closeSync(fd);
      return () => rmSync(guard, { force: true });
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
      if (attempt > 0 || isAlive(Number(readFileSync(guard, 'utf8')))) throw inUse(path);
      rmSync(guard, { force: true });
    }
  }
  throw inUse(path);
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}

function inUse(path: string): RmtxError {
  return new RmtxError(
    'ERR_RMTX_STATE_IN_USE',
    `another rmtx host uses this state directory (${path})`,
    {
      hint: 'stop it, or give this one another --state-dir',
    },
  );
}
