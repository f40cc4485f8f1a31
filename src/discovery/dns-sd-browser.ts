/** Hosts that DNS-SD knows of. */
import type Bonjour from 'bonjour-service';
import { isIP } from 'node:net';
import { factsFromTxt } from './dns-sd-txt.js';
import { DnsSdSocket, DNS_SD_TYPE, openBonjour } from './dns-sd-socket.js';
import type { LanInterface } from './lan-interfaces.js';
import type { HostFacts } from './packets.js';

export interface DnsSdBrowserOptions {
  readonly interfaces: () => readonly LanInterface[];
  /** `from` is where the packet came from; `reported` are the addresses that it gave. */
  readonly onHost: (
    facts: HostFacts,
    addresses: { readonly from: string | undefined; readonly reported: readonly string[] },
  ) => void;
}

/** A host has a few; whoever gives hundreds wants us to dial them. */
const MAX_REPORTED = 4;

export class DnsSdBrowser implements Disposable {
  readonly #options: DnsSdBrowserOptions;
  readonly #socket: DnsSdSocket;
  #browser: Bonjour.Browser | undefined;
  #isClosed = false;

  constructor(options: DnsSdBrowserOptions) {
    this.#options = options;
    this.#socket = new DnsSdSocket(options.interfaces);
    openBonjour(this.#socket).then(
      (bonjour) => this.#browse(bonjour),
      // The package cannot be loaded: two other ways are left.
      () => undefined,
    );
  }

  /** Asks again. */
  ask(): void {
    this.#browser?.update();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#browser?.stop();
    this.#socket.close();
  }

  #browse(bonjour: Bonjour): void {
    if (this.#isClosed) return;
    const browser = bonjour.find({ type: DNS_SD_TYPE });
    this.#browser = browser;
    browser.on('up', (service) => {
      // The package takes who answers first for the host: a neighbour who is quick would hide it. With an
      // empty list each answer counts as new, and none is kept.
      browser.services.splice(0);
      this.#hear(service);
    });
  }

  #hear(service: Bonjour.Service): void {
    const facts = factsFromTxt(service.txt, service.port);
    if (facts === undefined) return;
    const reported = (service.addresses ?? [])
      // A link-local one means nothing without the network that it belongs to.
      .filter((address) => isIP(address) !== 0 && !/^fe[89ab]/i.test(address))
      .slice(0, MAX_REPORTED);
    this.#options.onHost(facts, { from: service.referer?.address, reported });
  }
}
