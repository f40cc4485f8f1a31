/**
 * What bonjour-service takes for its socket. Its own would be one IPv4 socket on one interface that ends
 * the process where port 5353 is taken, and would hand it all that anybody says on the network. This one
 * is on every interface, of both families, lets through what concerns us and only so much of it, and keeps
 * what the package throws on a malformed packet from everybody else.
 */
import { EventEmitter } from 'node:events';
import type { RemoteInfo } from 'node:dgram';
import type Bonjour from 'bonjour-service';
import { TokenBucket } from '../util/token-bucket.js';
import { MDNS_GROUP } from './groups.js';
import type { LanInterface } from './lan-interfaces.js';
import { LanSockets } from './lan-sockets.js';

/** `_rmtx._tcp`; every host of every service has this type, and says its service in its TXT record. */
export const DNS_SD_TYPE = 'rmtx';

/** The package takes milliseconds for a large packet and answers each question in it. */
const MAX_BYTES = 1500;
const PACKETS = { burst: 60, perSecond: 20 };
/** What concerns us has one of these in it: our own name, or the question for all services there are. */
const WORDS = [Buffer.from(DNS_SD_TYPE), Buffer.from('_dns-sd')];

export class DnsSdSocket extends EventEmitter {
  readonly #sockets: LanSockets;
  readonly #heard = new TokenBucket(PACKETS);
  readonly #said = new TokenBucket(PACKETS);

  constructor(interfaces: () => readonly LanInterface[]) {
    super();
    this.#sockets = new LanSockets({
      group: MDNS_GROUP,
      role: 'member',
      interfaces: () => interfaces().filter((each) => !each.isLoopback),
      onMessage: (bytes, from) => this.#pass(bytes, from),
    });
  }

  get ready(): Promise<unknown> {
    return this.#sockets.ready;
  }

  refresh(): void {
    this.#sockets.refresh();
  }

  /** As dgram's, with the same seven arguments; whatever the address, it goes to the group. */
  send(...args: readonly unknown[]): void {
    const [message] = args;
    if (message instanceof Uint8Array && this.#said.take()) this.#sockets.sendToAll(message);
    const done = args.at(-1);
    if (typeof done === 'function') process.nextTick(done, null);
  }

  address(): { port: number } {
    return { port: MDNS_GROUP.port };
  }

  close(done?: () => void): void {
    this.#sockets[Symbol.dispose]();
    if (done !== undefined) process.nextTick(done);
  }

  #pass(bytes: Buffer, from: RemoteInfo): void {
    if (bytes.length > MAX_BYTES || !WORDS.some((word) => bytes.includes(word))) return;
    if (!this.#heard.take()) return;
    try {
      this.emit('message', bytes, from);
    } catch {
      // The package trusts what it reads; whoever sent this sent nothing that we understand.
    }
  }
}

/** bonjour-service on that socket. It is loaded here: most starts never need it, and it takes 16 ms. */
export async function openBonjour(socket: DnsSdSocket): Promise<Bonjour> {
  const { default: Package } = await import('bonjour-service');
  await socket.ready;
  // The package hands its options on to multicast-dns, whose own they are; its types do not say so.
  const options = { socket, bind: false, multicast: false } as object;
  return new Package(options, () => undefined);
}
