import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/**
 * A TCP proxy that cuts each connection after so many bytes, counted over both directions: the byte
 * behind the limit never arrives anywhere.
 */
export class CuttingProxy implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<Socket>();
  readonly #events = new EventEmitter();
  /** Bytes that the last connection carried. */
  carried = 0;
  cutAfter = Number.POSITIVE_INFINITY;

  private constructor(targetPort: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect(targetPort, '127.0.0.1');
      this.carried = 0;
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => from.destroy());
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.on('data', (piece: Buffer) => {
          const room = Math.max(0, this.cutAfter - this.carried);
          this.carried += piece.length;
          this.#events.emit('carried');
          if (piece.length <= room) {
            if (!to.write(piece)) {
              from.pause();
              to.once('drain', () => from.resume());
            }
            return;
          }
          to.write(piece.subarray(0, room), () => {
            near.destroy();
            far.destroy();
          });
        });
      }
    });
  }

  static async to(targetPort: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resolves when the connection has carried so many bytes. */
  async hasCarried(bytes: number): Promise<void> {
    while (this.carried < bytes) await once(this.#events, 'carried');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
