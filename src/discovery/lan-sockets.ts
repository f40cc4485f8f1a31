/**
 * One UDP port on every network of this machine, for saying something to everybody there and for hearing
 * it: IPv4 by broadcast and multicast (some access points drop the one, some the other), IPv6 by
 * link-local multicast. One socket for each family; what fails on one interface is that interface's
 * trouble, and is tried again at the next refresh.
 */
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { systemErrorCode } from '../errors.js';
import type { LanInterface } from './lan-interfaces.js';

export interface LanSocketsOptions {
  /** Whom everybody means who sends to all: the groups and the port that they share. */
  readonly group: LanGroup;
  /** `member`: hears what is sent to the group. `visitor`: hears only what is sent to it alone. */
  readonly role: 'member' | 'visitor';
  readonly interfaces: () => readonly LanInterface[];
  /** Must not throw. */
  readonly onMessage: (bytes: Buffer, from: RemoteInfo) => void;
}

export interface LanGroup {
  readonly port: number;
  readonly ipv4: string;
  readonly ipv6: string;
  /** How many routers may pass a multicast on. */
  readonly hops: number;
  readonly hasBroadcast: boolean;
}

type Family = 'udp4' | 'udp6';

export class LanSockets implements Disposable {
  readonly #options: LanSocketsOptions;
  readonly #sockets = new Map<Family, Socket>();
  #interfaces: readonly LanInterface[];
  #isClosed = false;
  #isTaken = false;
  /** Resolves when what can be opened is open. Never rejects. */
  readonly ready: Promise<unknown>;

  /** Opens at once; a port that cannot be had is tried again at each refresh. */
  constructor(options: LanSocketsOptions) {
    this.#options = options;
    this.#interfaces = options.interfaces();
    this.ready = Promise.all([this.#open('udp4'), this.#open('udp6')]);
  }

  /** Another program has the port for itself, of one family at least: not all is heard, or said. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Networks come and go: looks at what there is now, joins the groups there, opens what is not open. */
  refresh(): void {
    if (this.#isClosed) return;
    const before = this.#interfaces;
    this.#interfaces = this.#options.interfaces();
    const hasLost = before.some(({ name }) => !this.#interfaces.some((now) => now.name === name));
    // A socket keeps its place in the group of an interface that is gone, and has only 20 such places.
    if (hasLost && this.#options.role === 'member') this.#closeSockets();
    for (const family of ['udp4', 'udp6'] as const) {
      const socket = this.#sockets.get(family);
      if (socket === undefined) void this.#open(family);
      else this.#join(family, socket);
    }
  }

  /** To everybody on every network. What cannot be sent is lost, as any datagram may be. */
  sendToAll(bytes: Uint8Array): void {
    const ipv4 = this.#sockets.get('udp4');
    const ipv6 = this.#sockets.get('udp6');
    for (const each of this.#interfaces) {
      if (ipv4 !== undefined) this.#sendToAll4(ipv4, each, bytes);
      if (ipv6 !== undefined) this.#sendToAll6(ipv6, each, bytes);
    }
  }

  sendTo(bytes: Uint8Array, to: { readonly address: string; readonly port: number }): void {
    const socket = this.#sockets.get(to.address.includes(':') ? 'udp6' : 'udp4');
    if (socket !== undefined) send(socket, bytes, to);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#closeSockets();
  }

  #open(family: Family): Promise<void> {
    const { group, role, onMessage } = this.#options;
    const socket = createSocket({
      type: family,
      // Several programs may listen: two hosts of one machine, and a client beside them.
      reuseAddr: role === 'member',
      ipv6Only: family === 'udp6',
      // Only literals are sent to; without a look-up a send happens at once, in the order of the calls.
      lookup: literally as never,
    });
    socket.on('message', onMessage);
    return new Promise((resolve) => {
      let isBound = false;
      // Before it is bound: the port is taken or the family is switched off. Afterwards: a report of one
      // datagram that did not arrive, which is no reason to stop hearing.
      socket.on('error', (error) => {
        if (!isBound) {
          this.#isTaken ||= systemErrorCode(error) === 'EADDRINUSE';
          closeQuietly(socket);
        }
        resolve();
      });
      const port = role === 'member' ? group.port : 0;
      const address = family === 'udp4' ? '0.0.0.0' : '::';
      socket.bind({ port, address, exclusive: true }, () => {
        isBound = true;
        this.#adopt(family, socket);
        resolve();
      });
    });
  }

  #adopt(family: Family, socket: Socket): void {
    if (this.#isClosed || this.#sockets.has(family)) {
      closeQuietly(socket);
      return;
    }
    const { hops, hasBroadcast } = this.#options.group;
    this.#sockets.set(family, socket);
    attempt(() => socket.setMulticastTTL(hops));
    if (family === 'udp4' && hasBroadcast) attempt(() => socket.setBroadcast(true));
    this.#join(family, socket);
  }

  /** Being a member already is an error, too (EADDRINUSE): asking each time is simpler than knowing. */
  #join(family: Family, socket: Socket): void {
    if (this.#options.role !== 'member') return;
    const { group } = this.#options;
    for (const { ipv4, zone } of this.#interfaces) {
      const [first] = ipv4;
      if (family === 'udp4' && first !== undefined)
        attempt(() => socket.addMembership(group.ipv4, first.address));
      if (family === 'udp6' && zone !== undefined)
        attempt(() => socket.addMembership(group.ipv6, `::%${zone}`));
    }
  }

  #sendToAll4(socket: Socket, { ipv4 }: LanInterface, bytes: Uint8Array): void {
    const { group } = this.#options;
    const { port } = group;
    const [first] = ipv4;
    if (first !== undefined && attempt(() => socket.setMulticastInterface(first.address)))
      send(socket, bytes, { address: group.ipv4, port });
    if (!group.hasBroadcast) return;
    for (const { broadcast } of ipv4)
      if (broadcast !== undefined) send(socket, bytes, { address: broadcast, port });
  }

  #sendToAll6(socket: Socket, { zone }: LanInterface, bytes: Uint8Array): void {
    const { ipv6, port } = this.#options.group;
    if (zone !== undefined && attempt(() => socket.setMulticastInterface(`::%${zone}`)))
      send(socket, bytes, { address: `${ipv6}%${zone}`, port });
  }

  #closeSockets(): void {
    for (const socket of this.#sockets.values()) closeQuietly(socket);
    this.#sockets.clear();
  }
}

/** A look-up for who gives addresses only. */
function literally(
  address: string,
  _family: unknown,
  done: (error: null, address: string) => void,
): void {
  done(null, address);
}

/** Throws nothing: a sender's port may be 0, and a socket closed. */
function send(
  socket: Socket,
  bytes: Uint8Array,
  to: { readonly address: string; readonly port: number },
): void {
  attempt(() => socket.send(bytes, to.port, to.address, () => undefined));
}

function closeQuietly(socket: Socket): void {
  attempt(() => socket.close());
}

/** False where the system, or Node, says no: an interface has just gone, a socket is closed. */
function attempt(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return false;
  }
}
