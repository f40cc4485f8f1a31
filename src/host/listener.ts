/**
 * Who is calling: one port speaks three languages, told apart by ALPN after a mutual TLS 1.3 handshake:
 * pairing for anyone, the control API and runs for paired clients only.
 */
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { constants } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { RmtxError, isRmtxError, systemErrorCode } from '../errors.js';
import { PeerConnection } from '../protocol/connection.js';
import { ALPN_CONTROL, ALPN_PAIRING, ALPN_RUN } from '../protocol/messages.js';
import { TLS_CIPHERS } from '../transport/secure-stream.js';
import { formatAddress } from '../transport/address.js';
import { fingerprintOfCertificate } from '../trust/fingerprint.js';
import type { TrustedClient } from '../trust/trust-store.js';
import { printable } from '../util/printable.js';
import { Admission } from './admission.js';
import { clientRoutes } from './control-api.js';
import { listenAddress } from './listen-address.js';
import type { PairingService } from './pairing-service.js';
import { describeFailure, errorBody, respond, serveRoutes } from './routes.js';
import type { HostServices } from './services.js';
import { refuseVisit, serveVisit } from './visit.js';

/** Far more than one client's runs and questions need at a time; descriptors are everybody's. */
const MAX_CONNECTIONS_PER_CLIENT = 256;

interface ListenerOptions {
  readonly services: HostServices;
  readonly pairing: PairingService;
  readonly identity: { readonly keyPem: string; readonly certPem: string };
}

/** The listening socket and everything that is connected to it. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: https.Server;
  readonly #admission = new Admission();
  /** Raw sockets below the TLS ones: what has to be destroyed, and what admission counts. */
  readonly #rawSockets = new Set<Socket>();
  readonly #clientSockets = new Map<TLSSocket, string>();
  /** Raw sockets of strangers whom we dialled. */
  readonly #pairingOnly = new WeakSet<Socket>();
  addresses: string[] = [];

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = https.createServer(
      {
        key: options.identity.keyPem,
        cert: options.identity.certPem,
        minVersion: 'TLSv1.3',
        ciphers: TLS_CIPHERS,
        requestCert: true,
        // No CA vouches for anyone: the key is looked up in the trust store on every connection.
        rejectUnauthorized: false,
        ALPNProtocols: [ALPN_RUN, ALPN_CONTROL, ALPN_PAIRING],
        // No resumption: each connection proves its key anew, so a revoked one is out at once.
        secureOptions: constants.SSL_OP_NO_TICKET,
        noDelay: true,
      },
      (request, response) => this.#serveControl(request, response),
    );
    this.#server.prependListener('connection', (socket: Socket) => {
      this.#rawSockets.add(socket);
      socket.once('close', () => this.#rawSockets.delete(socket));
      this.#admission.watch(socket);
    });
    // https.Server hands every TLS connection to its HTTP parser; ALPN decides here instead.
    const [serveHttp] = this.#server.listeners('secureConnection') as ((s: TLSSocket) => void)[];
    this.#server.removeAllListeners('secureConnection');
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => socket.destroy());
      try {
        this.#dispatch(socket, () => serveHttp?.call(this.#server, socket));
      } catch (error) {
        this.#drop(socket, error);
      }
    });
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  async listen(where: string): Promise<void> {
    const { host, port } = listenAddress(where);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(cannotListen(where, error)));
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
    });
    // Such as no descriptor being left for a connection: the next one may have one again.
    this.#server.on('error', (error) => this.#options.services.log(describeFailure(error)));
    const bound = this.#server.address() as AddressInfo;
    this.addresses = [formatAddress({ host: bound.address, port: bound.port })];
  }

  /** Serves a connection that this host made as if it had come in. */
  serve(socket: Socket, { isPairingOnly }: { readonly isPairingOnly: boolean }): void {
    if (isPairingOnly) this.#pairingOnly.add(socket);
    this.#server.emit('connection', socket);
  }

  closeConnections(fingerprint: string): number {
    let closed = 0;
    for (const [socket, owner] of this.#clientSockets) {
      if (owner !== fingerprint) continue;
      socket.destroy();
      closed += 1;
    }
    return closed;
  }

  refuseMore(): void {
    this.#server.close();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#rawSockets) socket.destroy();
    await closed;
  }

  #dispatch(socket: TLSSocket, serveHttp: () => void): void {
    const { pairing, services } = this.#options;
    if (socket.alpnProtocol === ALPN_PAIRING) {
      // Ends the socket itself, after its last word has been taken or its deadline has passed.
      pairing.serve(socket).catch((error: unknown) => this.#drop(socket, error));
      return;
    }
    if (this.#rawSocketsBelow(socket).some((raw) => this.#pairingOnly.has(raw))) {
      socket.destroy();
      return;
    }
    const client = this.#knownClient(socket);
    const isOneTooMany = client !== undefined && !this.#remember(socket, client);
    if (socket.alpnProtocol === ALPN_CONTROL && !isOneTooMany) {
      if (client !== undefined) this.#admit(socket);
      serveHttp();
    } else if (socket.alpnProtocol === ALPN_RUN) {
      const connection = new PeerConnection(socket);
      if (client === undefined) void refuseVisit(connection, unknownToHost());
      else if (isOneTooMany) void refuseVisit(connection, tooManyConnections());
      else
        void serveVisit({
          connection,
          client,
          services,
          localAddress: socket.localAddress,
          onOpened: () => this.#admit(socket),
        });
    } else {
      socket.destroy();
    }
  }

  /** What goes wrong with one connection is never the end of the host. */
  #drop(socket: TLSSocket, error: unknown): void {
    socket.destroy();
    // A certificate that cannot be read is the stranger's trouble, and no reason to fill our log.
    if (!isRmtxError(error) || error.code !== 'ERR_RMTX_BAD_MESSAGE')
      this.#options.services.log(`a connection was dropped: ${describeFailure(error)}`);
  }

  #serveControl(request: IncomingMessage, response: ServerResponse): void {
    // https.Server hands over the TLS socket; its type only says net.Socket.
    const socket = request.socket as unknown as TLSSocket;
    let client: TrustedClient | undefined;
    try {
      client = this.#knownClient(socket);
    } catch (error) {
      this.#drop(socket, error);
      return;
    }
    if (client === undefined) {
      respond(response, 403, errorBody(unknownToHost()));
      return;
    }
    const { services } = this.#options;
    const routes = clientRoutes(services, { id: client.id, localAddress: socket.localAddress });
    void serveRoutes(routes, { request, response, log: services.log });
  }

  #knownClient(socket: TLSSocket): TrustedClient | undefined {
    const fingerprint = fingerprintOfCertificate(socket.getPeerX509Certificate());
    return fingerprint === undefined ? undefined : this.#options.services.trust.get(fingerprint);
  }

  /** False where the client has as many connections as one may have. */
  #remember(socket: TLSSocket, client: TrustedClient): boolean {
    let open = 0;
    for (const owner of this.#clientSockets.values()) if (owner === client.fingerprint) open += 1;
    if (open >= MAX_CONNECTIONS_PER_CLIENT) return false;
    this.#clientSockets.set(socket, client.fingerprint);
    socket.once('close', () => this.#clientSockets.delete(socket));
    this.#noteSeen(socket, client);
    return true;
  }

  #noteSeen(socket: TLSSocket, client: TrustedClient): void {
    try {
      this.#options.services.trust.touch(client.id, printable(socket.remoteAddress ?? ''));
    } catch (error) {
      // A full disk is no reason to keep a client out, who may be here to make room.
      this.#options.services.log(`cannot note that a client was here: ${describeFailure(error)}`);
    }
  }

  /** Takes the raw socket below this TLS socket out of the strangers' deadline. */
  #admit(socket: TLSSocket): void {
    for (const raw of this.#rawSocketsBelow(socket)) this.#admission.admit(raw);
  }

  #rawSocketsBelow(socket: TLSSocket): Socket[] {
    return [...this.#rawSockets].filter(
      (raw) =>
        raw.remotePort === socket.remotePort &&
        raw.localPort === socket.localPort &&
        raw.remoteAddress === socket.remoteAddress,
    );
  }
}

function unknownToHost(): RmtxError {
  return new RmtxError('ERR_RMTX_NOT_PAIRED', 'the host does not know this client', {
    hint: 'run rmtx pair --host ADDR, with a code from rmtx host pair-code on the host',
  });
}

function tooManyConnections(): RmtxError {
  return new RmtxError(
    'ERR_RMTX_CONTEXT_BUSY',
    `this client has ${MAX_CONNECTIONS_PER_CLIENT} connections to the host already`,
    { hint: 'wait for some of its runs to end' },
  );
}

const LISTEN_FAILURES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the name is unknown',
  EACCES: 'this user may not use that port',
};

function cannotListen(where: string, cause: Error): RmtxError {
  const why = LISTEN_FAILURES[systemErrorCode(cause) ?? ''] ?? cause.message;
  return new RmtxError('ERR_RMTX_CANNOT_LISTEN', `cannot listen on ${printable(where)}: ${why}`, {
    cause,
    hint: 'choose another address with --listen',
  });
}
