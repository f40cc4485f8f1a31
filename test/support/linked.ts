/** A client's link to a scripted host, in this process, by way of a proxy that can cut it. */
import { EventEmitter, once } from 'node:events';
import path from 'node:path';
import type { ClientHome } from '../../src/client/home.js';
import { chooseHost } from '../../src/client/host-choice.js';
import { HostLink } from '../../src/client/host-link.js';
import type { Outage } from '../../src/client/host-link.js';
import { CuttingProxy } from './cutting-proxy.js';
import { LyingHost } from './lying-host.js';
import { Rig } from './rig.js';

export class LinkScene implements AsyncDisposable {
  readonly rig: Rig;
  readonly host: LyingHost;
  readonly proxy: CuttingProxy;
  readonly link: HostLink;
  readonly home: ClientHome;
  readonly abort = new AbortController();
  /** What was told of outages. */
  readonly outages: Outage[] = [];
  readonly #events = new EventEmitter();

  private constructor(made: { rig: Rig; host: LyingHost; proxy: CuttingProxy; limitMs: number }) {
    this.rig = made.rig;
    this.host = made.host;
    this.proxy = made.proxy;
    const client = made.rig.client();
    made.host.befriend(client);
    this.home = { directory: path.join(client.home, '.rmtx') };
    this.link = new HostLink({
      home: this.home,
      choose: () =>
        chooseHost({ home: this.home, named: made.proxy.address, config: undefined, env: {} }),
      abortSignal: this.abort.signal,
      limitMs: made.limitMs,
      onNotice: () => undefined,
      onOutage: (outage) => {
        this.outages.push(outage);
        this.#events.emit('told');
      },
    });
  }

  static async make({ limitMs = 60_000 } = {}): Promise<LinkScene> {
    const rig = new Rig();
    const host = await LyingHost.start(rig);
    const proxy = await CuttingProxy.to(host.port);
    return new LinkScene({ rig, host, proxy, limitMs });
  }

  /** Resolves when this was told of outages so many times. */
  async hasTold(count: number): Promise<void> {
    while (this.outages.length < count) await once(this.#events, 'told');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link[Symbol.dispose]();
    await this.proxy[Symbol.asyncDispose]();
    await this.host[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}
