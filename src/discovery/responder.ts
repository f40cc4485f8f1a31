/**
 * The host's part: it says that it is there, and answers who asks. It promises little to strangers: an
 * answer is never larger than its question, only so many are given in a second, and whatever else comes
 * in costs a few comparisons (3 µs with all that Node does for a datagram).
 */
import type { RemoteInfo } from 'node:dgram';
import { KeyedBuckets } from '../util/token-bucket.js';
import { CallDesk } from './call-desk.js';
import type { CallBackRequest } from './call-desk.js';
import { DnsSdAdvertisement } from './dns-sd-advertisement.js';
import { DISCOVERY_GROUP } from './groups.js';
import { interfacesOf, lanInterfaces, subnetCheck } from './lan-interfaces.js';
import type { LanInterface } from './lan-interfaces.js';
import { LanSockets } from './lan-sockets.js';
import { looksLike } from './packet-frame.js';
import {
  ANNOUNCEMENT_PERIOD_MS,
  decodePacket,
  encodeAnnouncement,
  encodeAnswer,
} from './packets.js';
import type { HostFacts } from './packets.js';

export interface ResponderOptions {
  /** Asked for each answer and announcement. */
  readonly facts: () => HostFacts;
  /** The IP literal that the host listens at: nobody is told of a host that cannot be reached from there. */
  readonly listening: string;
  /** Somebody wants to be dialled where he really is; see call-desk.ts. Without: calls are not answered. */
  readonly onCallBack?: (request: CallBackRequest) => void;
  /** Called at most once: another program has the port for itself, so that clients may not hear of this host. */
  readonly onTaken?: () => void;
  /** False: only our own protocol. */
  readonly hasDnsSd?: boolean;
  /** Another port than everybody's; for tests. */
  readonly port?: number;
}

/** How often it looks for new networks and for a pairing window; while one is open, how often it announces. */
const TICK_MS = 2000;
/** A client asks four times in its first second, in up to three ways on each network. */
const ANSWERS = {
  all: { burst: 200, perSecond: 100 },
  each: { burst: 40, perSecond: 10 },
  maxKeys: 512,
};

export class Responder implements AsyncDisposable {
  readonly #options: ResponderOptions;
  readonly #sockets: LanSockets;
  readonly #limits = new KeyedBuckets(ANSWERS);
  readonly #calls: CallDesk | undefined;
  readonly #dnsSd: DnsSdAdvertisement | undefined;
  readonly #timer: NodeJS.Timeout;
  #isNear: (address: string) => boolean;
  #ticksSince = 0;
  #wasPairingOpen = false;

  constructor(options: ResponderOptions) {
    this.#options = options;
    const interfaces = this.#interfaces();
    this.#isNear = subnetCheck(interfaces);
    const { service, identityPrefix } = options.facts();
    const { onCallBack } = options;
    if (onCallBack !== undefined)
      this.#calls = new CallDesk({
        service,
        identityPrefix,
        onCallBack,
        reply: (bytes, to) => this.#sockets.sendTo(bytes, to),
      });
    this.#sockets = new LanSockets({
      group: { ...DISCOVERY_GROUP, port: options.port ?? DISCOVERY_GROUP.port },
      role: 'member',
      interfaces: () => this.#interfaces(),
      onMessage: (bytes, from) => this.#take(bytes, from),
    });
    if (options.hasDnsSd !== false && interfaces.some((each) => !each.isLoopback))
      this.#dnsSd = new DnsSdAdvertisement({
        facts: options.facts,
        interfaces: () => this.#interfaces(),
      });
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    void this.#sockets.ready.then(() => {
      if (this.#sockets.isTaken) options.onTaken?.();
      this.#announce();
    });
  }

  /** Resolves when the network has been told that the host goes, and everything is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#sockets[Symbol.dispose]();
    await this.#dnsSd?.[Symbol.asyncDispose]();
  }

  #interfaces(): LanInterface[] {
    return interfacesOf(lanInterfaces(), this.#options.listening);
  }

  #tick(): void {
    this.#sockets.refresh();
    this.#isNear = subnetCheck(this.#interfaces());
    this.#dnsSd?.refresh();
    this.#ticksSince += 1;
    const { isPairingOpen } = this.#options.facts();
    const isDue = this.#ticksSince * TICK_MS >= ANNOUNCEMENT_PERIOD_MS;
    if (isDue || isPairingOpen || this.#wasPairingOpen) this.#announce();
  }

  /** Also once after a pairing window has ended, so that nobody tries in vain. */
  #announce(): void {
    const facts = this.#options.facts();
    this.#ticksSince = 0;
    this.#wasPairingOpen = facts.isPairingOpen;
    this.#sockets.sendToAll(encodeAnnouncement(facts));
  }

  #take(bytes: Buffer, from: RemoteInfo): void {
    if (looksLike('query', bytes)) this.#answer(bytes, from);
    else if (isCall(bytes) && this.#isHeard(from.address)) this.#calls?.take(bytes, from);
  }

  #answer(bytes: Buffer, from: RemoteInfo): void {
    if (!this.#limits.hasToken) return;
    const query = decodePacket(bytes);
    if (query?.kind !== 'query' || !this.#isHeard(from.address)) return;
    const facts = this.#options.facts();
    if (query.service !== facts.service || !this.#limits.take(from.address)) return;
    const answer = encodeAnswer(facts, query.nonce);
    if (answer.length <= bytes.length) this.#sockets.sendTo(answer, from);
  }

  /** A host that listens everywhere answers from behind a router, too; another only its neighbours. */
  #isHeard(address: string): boolean {
    const { listening } = this.#options;
    return listening === '::' || listening === '0.0.0.0' || this.#isNear(address);
  }
}

function isCall(bytes: Buffer): boolean {
  return looksLike('call', bytes) || looksLike('call-back', bytes);
}
