/** Programs of the run's that listen on a port, and connections to them by way of `-L`. */
import { createCipheriv, createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { fixture } from './commands.js';
import { CuttingProxy } from './cutting-proxy.js';
import { Rig } from './rig.js';
import type { RigHost, RigProject, RunningRmtx } from './rig.js';

/** A port of loopback that nobody uses now. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  await using taken = await takePort(address);
  return taken.port;
}

/** Listens on a port that nobody uses. */
export async function takePort(
  address = '127.0.0.1',
  port = 0,
): Promise<AsyncDisposable & { readonly port: number }> {
  const server = net.createServer((socket) => socket.destroy());
  server.listen(port, address);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What `send COUNT` of fixtures/commands/serve-tcp.mjs sends. */
export function sentBytes(count: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(count));
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export interface Got {
  readonly bytes: Buffer;
  /** The code of how it broke; undefined where it ended. */
  readonly broke: string | undefined;
}

/** Connects and says what the connection is to be. */
export function connectAs(port: number, kind: string, host = '127.0.0.1'): Socket {
  const socket = net.connect({ port, host, allowHalfOpen: true });
  socket.on('error', () => undefined);
  socket.write(`${kind}\n`);
  return socket;
}

/** Everything that comes until it ends or breaks; our side of it stays open. */
export function readOut(socket: Socket): Promise<Got> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const done = (broke?: string): void => resolve({ bytes: Buffer.concat(pieces), broke });
    socket.on('data', (piece: Buffer) => pieces.push(piece));
    // Node takes a reset for an end where data came right before it; a write is not deceived.
    socket.on('end', () => {
      if (!socket.writable) done();
      else socket.write('', (error) => done((error as NodeJS.ErrnoException | null)?.code));
    });
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    socket.on('close', () => done('closed'));
  });
}

/** Sends all of it, ends, and reads the answer. */
export async function exchange(
  port: number,
  kind: string,
  bytes: Buffer = Buffer.alloc(0),
): Promise<Got> {
  const socket = connectAs(port, kind);
  socket.end(bytes);
  return readOut(socket);
}

/** A run with a server in it, and where its port is here. */
export interface ServedRun {
  readonly running: RunningRmtx;
  /** The port on the host. */
  readonly port: number;
  /** The port here. */
  readonly local: number;
}

export class ForwardScene implements AsyncDisposable {
  readonly rig: Rig;
  readonly host: RigHost;
  readonly proxy: CuttingProxy;
  readonly project: RigProject;

  private constructor(made: { rig: Rig; host: RigHost; proxy: CuttingProxy; project: RigProject }) {
    this.rig = made.rig;
    this.host = made.host;
    this.proxy = made.proxy;
    this.project = made.project;
  }

  static async create(): Promise<ForwardScene> {
    const rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const proxy = await CuttingProxy.to(host.port);
    return new ForwardScene({ rig, host, proxy, project: client.project({}, { host }) });
  }

  /** `rmtx exec` with these flags. */
  start(flags: readonly string[], command: readonly string[]): RunningRmtx {
    return this.project.client.start(
      ['exec', '--host', this.proxy.address, ...flags, '--', ...command],
      { cwd: this.project.root },
    );
  }

  /** Runs a server of fixtures/commands and waits until it listens. */
  async serve(
    program: 'serve-tcp.mjs' | 'serve-http.mjs' = 'serve-tcp.mjs',
    { flags = [], address = '127.0.0.1' }: { flags?: readonly string[]; address?: string } = {},
  ): Promise<ServedRun> {
    const port = await freePort(address);
    const running = this.start(
      ['-L', `0:${port}`, ...flags],
      [process.execPath, fixture(program), String(port), address],
    );
    const local = await localPort(running);
    await running.says(/^ready$/m);
    return { running, port, local };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}

/** Where a run whose local port was left open listens. */
export async function localPort(running: RunningRmtx): Promise<number> {
  const [, port] = await running.says(/^rmtx: 127\.0\.0\.1:(\d+) leads to port \d+ of the run$/m);
  return Number(port);
}
