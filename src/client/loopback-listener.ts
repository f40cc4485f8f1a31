/** A port on this machine's loopback and nowhere else: 127.0.0.1, and ::1 where there is IPv6. */
import net from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { RmtxError, systemErrorCode } from '../errors.js';
import { formatAddress } from '../transport/address.js';

export interface LoopbackListener {
  readonly port: number;
  readonly addresses: readonly string[];
  readonly servers: readonly Server[];
}

export interface LoopbackListenerOptions {
  /** 0: any that is free. */
  readonly wantedPort: number;
  /** Not to be taken in the place of one that is not free. */
  readonly spared: ReadonlySet<number>;
  /** Half-open connections are allowed; it has no listeners. */
  readonly onSocket: (socket: Socket) => void;
}

/** How far to look for a free port behind the one that was wanted. */
const MAX_STEPS = 100;
/** Any port may be free on one of the two addresses only. */
const MAX_TRIES_ANY = 20;

/**
 * Listens on the port that is wanted or on the next free one. Rejects with CANNOT_LISTEN where there is none,
 * or where this user may not use the one that is wanted.
 */
export async function listenOnLoopback(
  options: LoopbackListenerOptions,
): Promise<LoopbackListener> {
  const { wantedPort, onSocket } = options;
  for (const port of candidates(options)) {
    const listener = await listenOnBoth(port, onSocket);
    if (listener !== undefined) return listener;
  }
  throw cannotListen(wantedPort, 'neither it nor any of the next ports is free');
}

function candidates({ wantedPort, spared }: LoopbackListenerOptions): number[] {
  if (wantedPort === 0) return Array.from({ length: MAX_TRIES_ANY }, () => 0);
  const ports = Array.from({ length: MAX_STEPS + 1 }, (_, step) => wantedPort + step);
  return ports.filter((port) => port === wantedPort || (port <= 65_535 && !spared.has(port)));
}

/** Undefined where the port is taken. What listens on ::1 alone would get half of a browser's connections. */
async function listenOnBoth(
  wanted: number,
  onSocket: (socket: Socket) => void,
): Promise<LoopbackListener | undefined> {
  const four = await listen({ host: '127.0.0.1', port: wanted }, onSocket);
  if (typeof four === 'string') {
    // Windows has ranges of ports that it keeps for itself and says so by EACCES.
    if (four === 'EADDRINUSE' || (four === 'EACCES' && wanted >= 1024)) return undefined;
    throw cannotListen(wanted, four === 'EACCES' ? 'this user may not use that port' : four);
  }
  const { port } = four.address() as AddressInfo;
  const six = await listen({ host: '::1', port, ipv6Only: true }, onSocket);
  if (six === 'EADDRINUSE') {
    four.close();
    return undefined;
  }
  const servers = typeof six === 'string' ? [four] : [four, six];
  const addresses = servers.map((server) => {
    const bound = server.address() as AddressInfo;
    return formatAddress({ host: bound.address, port: bound.port });
  });
  return { port, addresses, servers };
}

/** The code of what went wrong in the place of the server. */
function listen(
  where: net.ListenOptions,
  onSocket: (socket: Socket) => void,
): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true }, onSocket);
    server.once('error', (error) => resolve(systemErrorCode(error) ?? error.message));
    server.listen({ ...where, exclusive: true }, () => {
      server.removeAllListeners('error');
      resolve(server);
    });
  });
}

function cannotListen(port: number, why: string): RmtxError {
  return new RmtxError('ERR_RMTX_CANNOT_LISTEN', `cannot listen on 127.0.0.1:${port}: ${why}`, {
    hint: 'choose another port here: -L LOCAL:PORT; with 0 as LOCAL any that is free is taken',
  });
}
