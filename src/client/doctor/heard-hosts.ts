import { findHosts } from '../../discovery/find-hosts.js';
import { lanInterfaces } from '../../discovery/lan-interfaces.js';
import type { DiscoveredHost } from '../../discovery/sightings.js';
import { createDeferred } from '../../util/deferred.js';
import { orAborted } from '../../util/or-aborted.js';

export interface ListenOptions {
  readonly service: string;
  /** Whether it says that it is the host that is meant. */
  readonly isMeant: (host: DiscoveredHost) => boolean;
}

/** Looks around from its making to its disposal, beside whatever else goes on. */
export class HeardHosts implements Disposable {
  readonly #startedAt = performance.now();
  readonly #over = new AbortController();
  readonly #hosts = new Map<string, DiscoveredHost>();
  readonly #meant = createDeferred<true>();

  constructor({ service, isMeant }: ListenOptions) {
    void findHosts({
      service,
      interfaces: lanInterfaces,
      timeoutMs: 2 ** 31 - 1,
      abortSignal: this.#over.signal,
      onHost: (host) => {
        this.#hosts.set(`${host.identityPrefix} ${host.name}`, host);
        if (isMeant(host)) this.#meant.resolve(true);
        return undefined;
      },
    });
  }

  get hosts(): DiscoveredHost[] {
    return [...this.#hosts.values()];
  }

  get listenedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** True once the host that is meant was heard; false at the signal. */
  async untilMeant(abortSignal: AbortSignal): Promise<boolean> {
    return (await orAborted(this.#meant.promise, abortSignal)) ?? false;
  }

  [Symbol.dispose](): void {
    this.#over.abort();
  }
}
