import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/**
 * Destroyed with unread bytes in it, a socket would answer with a reset, and a receiver that is behind lose
 * megabytes that were carried. So these are thrown away, and the receiver gets all there is, then the end.
 */
function endAfterAll(to: Socket): void {
  to.resume();
  to.end();
}

/**
 * A TCP proxy that cuts connections: each after so many bytes, counted over both directions, so that the
 * byte behind the limit never arrives anywhere; or all of them now; or it lets nobody in for a while.
 */
export class CuttingProxy implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<Socket>();
  readonly #events = new EventEmitter();
  #port = 0;
  /** Where connections go on to. */
  targetPort: number;
  /** Bytes that the last connection carried. */
  carried = 0;
  /** Bytes that all connections carried. */
  carriedInAll = 0;
  /** Connections that were let in. */
  connections = 0;
  cutAfter = Number.POSITIVE_INFINITY;
  /** How many connections are still to be cut after {@link cutAfter}. */
  cutsLeft = Number.POSITIVE_INFINITY;
  /** Waited for between the last byte and the cut, while the connection stands. */
  beforeCut: () => Promise<void> = () => Promise.resolve();

  private constructor(targetPort: number) {
    this.targetPort = targetPort;
    this.#server = net.createServer((near) => this.#connect(near));
  }

  static async to(targetPort: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort);
    await proxy.#listen();
    proxy.#port = (proxy.#server.address() as AddressInfo).port;
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Resolves when the last connection has carried so many bytes. */
  async hasCarried(bytes: number): Promise<void> {
    while (this.carried < bytes) await once(this.#events, 'carried');
  }

  /** Resolves when so many connections have been let in, in all. */
  async hasLetIn(count: number): Promise<void> {
    while (this.connections < count) await once(this.#events, 'connected');
  }

  /** Resolves when no connection stands. */
  async hasNobody(): Promise<void> {
    while (this.#sockets.size > 0) await once(this.#events, 'closed');
  }

  /** Cuts what stands. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts what stands and refuses connections, as a machine without its host process does. */
  async goDown(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  /** At the address that it had. */
  async comeBack(): Promise<void> {
    await this.#listen();
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve) =>
      this.#server.listen(this.#port, '127.0.0.1', () => resolve()),
    );
  }

  #connect(near: Socket): void {
    const far = net.connect(this.targetPort, '127.0.0.1');
    this.carried = 0;
    this.connections += 1;
    let carried = 0;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => from.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        this.#events.emit('closed');
        to.destroy();
      });
      from.on('data', (piece: Buffer) => {
        const limit = this.cutsLeft > 0 ? this.cutAfter : Number.POSITIVE_INFINITY;
        const room = Math.max(0, limit - carried);
        carried += piece.length;
        this.carried = carried;
        this.carriedInAll += piece.length;
        this.#events.emit('carried');
        if (piece.length <= room) {
          if (!to.write(piece)) {
            from.pause();
            to.once('drain', () => from.resume());
          }
          return;
        }
        this.cutsLeft -= 1;
        for (const socket of [near, far]) socket.removeAllListeners('data').pause();
        to.write(piece.subarray(0, room));
        void this.beforeCut().then(() => endAfterAll(to));
      });
    }
    this.#events.emit('connected');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }
}
