/**
 * The client's part: asks on every network, and listens to answers, to announcements and to DNS-SD, until
 * it is closed. It believes nothing: whoever acts on what it hears checks the key that answers there.
 */
import { randomBytes } from 'node:crypto';
import type { RemoteInfo } from 'node:dgram';
import { DnsSdBrowser } from './dns-sd-browser.js';
import { DISCOVERY_GROUP } from './groups.js';
import { lanInterfaces } from './lan-interfaces.js';
import type { LanInterface } from './lan-interfaces.js';
import { LanSockets } from './lan-sockets.js';
import { NONCE_BYTES } from './packet-frame.js';
import { decodePacket, encodeQuery } from './packets.js';
import type { HostFacts } from './packets.js';
import type { Evidence } from './sightings.js';

export interface LookoutOptions {
  readonly service: string;
  readonly onHeard: (facts: HostFacts, host: string, evidence: Evidence) => void;
  /** The networks to look on; every one that this machine has, if not given. */
  readonly interfaces?: () => readonly LanInterface[];
  /** False: only our own protocol. */
  readonly hasDnsSd?: boolean;
  /** Another port than everybody's; for tests. */
  readonly port?: number;
}

/** After the first: a datagram may be lost, and a radio may be asleep. Each gap is twice the one before. */
const FIRST_GAP_MS = 100;
const LAST_GAP_MS = 2000;
/** Most hosts have answered by then, and nothing had to be loaded for it. */
const DNS_SD_AFTER_MS = 150;

export class Lookout implements Disposable {
  readonly #options: LookoutOptions;
  /** All of our questions begin with it. */
  readonly #nonce = randomBytes(NONCE_BYTES);
  /** What answers come to. */
  readonly #asking: LanSockets;
  /** What announcements come to. */
  readonly #listening: LanSockets;
  readonly #dnsSdTimer: NodeJS.Timeout | undefined;
  #dnsSd: DnsSdBrowser | undefined;
  #nextTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: LookoutOptions) {
    this.#options = options;
    const interfaces = options.interfaces ?? lanInterfaces;
    const common = {
      group: { ...DISCOVERY_GROUP, port: options.port ?? DISCOVERY_GROUP.port },
      interfaces,
      onMessage: (bytes: Buffer, from: RemoteInfo) => this.#hear(bytes, from),
    };
    this.#asking = new LanSockets({ ...common, role: 'visitor' });
    this.#listening = new LanSockets({ ...common, role: 'member' });
    void this.#asking.ready.then(() => this.#ask(FIRST_GAP_MS));
    if (options.hasDnsSd !== false)
      this.#dnsSdTimer = setTimeout(() => this.#browse(interfaces), DNS_SD_AFTER_MS);
  }

  /** Nothing is heard or kept open afterwards. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#nextTimer);
    clearTimeout(this.#dnsSdTimer);
    this.#asking[Symbol.dispose]();
    this.#listening[Symbol.dispose]();
    this.#dnsSd?.[Symbol.dispose]();
  }

  #ask(nextGapMs: number): void {
    if (this.#isClosed) return;
    this.#asking.sendToAll(encodeQuery(this.#options.service, this.#nonce));
    if (nextGapMs >= LAST_GAP_MS) this.#dnsSd?.ask();
    this.#nextTimer = setTimeout(() => {
      this.#asking.refresh();
      this.#listening.refresh();
      this.#ask(Math.min(2 * nextGapMs, LAST_GAP_MS));
    }, nextGapMs);
  }

  #hear(bytes: Buffer, from: RemoteInfo): void {
    const packet = decodePacket(bytes);
    if (packet === undefined || packet.kind === 'query') return;
    if (packet.kind === 'answer' && !packet.nonce.equals(this.#nonce)) return;
    this.#tell(packet.host, from.address, 'direct');
  }

  #browse(interfaces: () => readonly LanInterface[]): void {
    this.#dnsSd = new DnsSdBrowser({
      interfaces,
      onHost: (facts, { from, reported }) => {
        if (from !== undefined) this.#tell(facts, from, 'direct');
        for (const address of reported) this.#tell(facts, address, 'reported');
      },
    });
  }

  #tell(facts: HostFacts, host: string, evidence: Evidence): void {
    if (!this.#isClosed && facts.service === this.#options.service)
      this.#options.onHeard(facts, host, evidence);
  }
}
