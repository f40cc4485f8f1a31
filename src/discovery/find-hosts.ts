/** The two questions a client has: which hosts are there, and where is this one. */
import type { PeerId } from '../trust/fingerprint.js';
import { lanInterfaces, subnetCheck } from './lan-interfaces.js';
import { Lookout } from './lookout.js';
import type { LookoutOptions } from './lookout.js';
import { Sightings } from './sightings.js';
import type { DiscoveredHost, HostAddress } from './sightings.js';

export interface FindHostsOptions extends Omit<LookoutOptions, 'onHeard'> {
  /** How long to look where nothing is heard. */
  readonly timeoutMs: number;
  /** How long to look on after the first host; the whole time if not given. */
  readonly settleMs?: number;
  /** The host that nobody else keeps out of what is found, however many there seem to be. */
  readonly wanted?: PeerId | undefined;
  /** Ends it at once, with what was found. */
  readonly abortSignal?: AbortSignal | undefined;
  /** Called for each host, and again for each of its further addresses. Ends it by returning 'enough'. */
  readonly onHost?: (host: DiscoveredHost) => 'enough' | undefined;
}

/** The hosts of a service that can be heard, by name. Never rejects; a network that is silent has none. */
export function findHosts(options: FindHostsOptions): Promise<DiscoveredHost[]> {
  const { timeoutMs, settleMs = Infinity, abortSignal, onHost, wanted } = options;
  const isNear = subnetCheck((options.interfaces ?? lanInterfaces)());
  const sightings = new Sightings(isNear, wanted);
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timeout);
      clearTimeout(settled);
      abortSignal?.removeEventListener('abort', end);
      lookout[Symbol.dispose]();
      resolve(sightings.hosts);
    };
    const timeout = setTimeout(end, timeoutMs);
    let settled: NodeJS.Timeout | undefined;
    const lookout = new Lookout({
      ...options,
      onHeard: (facts, address, evidence) => {
        const host = sightings.note(facts, address, evidence);
        if (host === undefined) return;
        if (settleMs < timeoutMs) settled ??= setTimeout(end, settleMs);
        if (onHost?.(host) === 'enough') end();
      },
    });
    abortSignal?.addEventListener('abort', end);
    if (abortSignal?.aborted === true) end();
  });
}

export interface FindPinnedOptions extends Omit<LookoutOptions, 'onHeard'> {
  /** The hosts that are meant. */
  readonly identityPrefixes: readonly PeerId[];
  /** Undefined: until somebody has heard enough. */
  readonly timeoutMs?: number;
  readonly abortSignal: AbortSignal;
}

/** Far more addresses than a host has: more than these are only there to have us dial them. */
const MAX_CLAIMS = 64;
/** Two hosts on a machine are many; whoever claims every port of his own address leaves room for others. */
const MAX_PORTS = 4;

/**
 * Where hosts with these identities say they are, each address once and as soon as it is heard. Looking
 * begins with the first `next()` and ends with the signal or the timeout; leaving the loop ends it, too.
 * Never throws. Only the key that answers at an address shows whether it was true.
 */
export async function* findPinned(options: FindPinnedOptions): AsyncGenerator<HostAddress, void> {
  const { identityPrefixes, timeoutMs, abortSignal } = options;
  const claims = new Map<string, HostAddress>();
  const waiting: HostAddress[] = [];
  let wake: () => void = () => undefined;
  using _lookout = new Lookout({
    ...options,
    onHeard: ({ identityPrefix, port }, host) => {
      const key = `${host} ${port}`;
      if (!identityPrefixes.includes(identityPrefix) || claims.has(key)) return;
      const ports = [...claims.values()].filter((claim) => claim.host === host).length;
      if (claims.size >= MAX_CLAIMS || ports >= MAX_PORTS) return;
      claims.set(key, { host, port });
      waiting.push({ host, port });
      wake();
    },
  });
  const limit =
    timeoutMs === undefined
      ? abortSignal
      : AbortSignal.any([abortSignal, AbortSignal.timeout(timeoutMs)]);
  limit.addEventListener('abort', () => wake());
  while (!limit.aborted) {
    const next = waiting.shift();
    if (next !== undefined) yield next;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
}
