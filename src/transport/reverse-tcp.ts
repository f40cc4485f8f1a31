/**
 * TCP the other way round: the host dials. This side listens at a port that nobody else knows, for as long as one
 * attempt takes, and passes on what comes from the host's address. That is no proof of anything: whoever
 * takes a stream compares keys.
 */
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export interface ReverseTcpOptions {
  /** Of this machine: only the network that leads to the host is listened at. An IP literal. */
  readonly localAddress: string;
  /** An IP literal. Connections from others are closed at once. */
  readonly hostAddress: string;
  /** Called for each connection; the stream is the callee's. */
  readonly onStream: (stream: Socket) => void;
}

/** A neighbour who takes the host's address may try as often, and then the port is closed. */
const MAX_STREAMS = 16;

export class ReverseTcp implements Disposable {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Rejects where this machine lets nobody listen there. */
  static async listen(options: ReverseTcpOptions): Promise<ReverseTcp> {
    const { localAddress, hostAddress, onStream } = options;
    let streams = 0;
    const server = net.createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => undefined);
      if (!isSameHost(socket.remoteAddress, hostAddress)) {
        socket.destroy();
        return;
      }
      streams += 1;
      if (streams === MAX_STREAMS) server.close();
      onStream(socket);
    });
    server.listen({ host: localAddress, port: 0 });
    await once(server, 'listening');
    server.on('error', () => undefined);
    return new ReverseTcp(server);
  }

  /** Takes no more; what was passed on stays. */
  [Symbol.dispose](): void {
    this.#server.close();
  }
}

/** The zone is the same where the listening address has one, and is not always told. */
function isSameHost(remote: string | undefined, host: string): boolean {
  return remote !== undefined && remote.split('%')[0] === host.split('%')[0];
}
