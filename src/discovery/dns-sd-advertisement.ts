/** A host in DNS-SD (RFC 6763), for clients that hear nothing else and for any browser of services. */
import type Bonjour from 'bonjour-service';
import { DnsSdSocket, DNS_SD_TYPE, openBonjour } from './dns-sd-socket.js';
import { factsToTxt } from './dns-sd-txt.js';
import { interfacesKey } from './lan-interfaces.js';
import type { LanInterface } from './lan-interfaces.js';
import type { HostFacts } from './packets.js';

export interface AdvertisementOptions {
  readonly facts: () => HostFacts;
  readonly interfaces: () => readonly LanInterface[];
}

/** A DNS label has 63 bytes; the end of it makes the name one of its own on any network. */
const MAX_NAME_BYTES = 48;
/** Longer than any goodbye takes to be sent. */
const GOODBYE_MS = 500;

export class DnsSdAdvertisement implements AsyncDisposable {
  readonly #options: AdvertisementOptions;
  readonly #socket: DnsSdSocket;
  /** Undefined where the package cannot be loaded: two other ways are left. */
  readonly #opened: Promise<Bonjour | undefined>;
  #published: { readonly key: string; readonly service: Bonjour.Service } | undefined;
  #isClosed = false;

  constructor(options: AdvertisementOptions) {
    this.#options = options;
    this.#socket = new DnsSdSocket(options.interfaces);
    this.#opened = openBonjour(this.#socket).catch(() => undefined);
    void this.#opened.then(() => this.refresh());
  }

  /** Publishes what has changed: the package reads the addresses of this machine once only. */
  refresh(): void {
    this.#socket.refresh();
    void this.#opened.then((bonjour) => {
      if (!this.#isClosed && bonjour !== undefined) this.#publish(bonjour);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const bonjour = await this.#opened;
    await this.#withdraw();
    await new Promise<void>((resolve) => bonjour?.destroy(resolve) ?? resolve());
    this.#socket.close();
  }

  #publish(bonjour: Bonjour): void {
    const facts = this.#options.facts();
    const txt = factsToTxt(facts);
    const key = JSON.stringify([facts.port, txt, interfacesKey(this.#options.interfaces())]);
    if (this.#published?.key === key) return;
    void this.#withdraw();
    const { identityPrefix, name, port } = facts;
    const service = bonjour.publish({
      name: `${cut(name)}-${identityPrefix.slice(0, 8)}`,
      type: DNS_SD_TYPE,
      port,
      // A name of its own: the machine's belongs to whatever answers for it already.
      host: `${DNS_SD_TYPE}-${identityPrefix}.local`,
      txt,
      // The name is unique by itself; and where it is not, the package would write to stdout.
      probe: false,
    });
    this.#published = { key, service };
  }

  #withdraw(): Promise<void> {
    const service = this.#published?.service;
    this.#published = undefined;
    if (service === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, GOODBYE_MS);
      // The package's type says only that it can be called.
      (service.stop as (done: () => void) => void)(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function cut(name: string): string {
  let kept = '';
  for (const character of name) {
    if (Buffer.byteLength(kept + character) > MAX_NAME_BYTES) break;
    kept += character;
  }
  return kept;
}
