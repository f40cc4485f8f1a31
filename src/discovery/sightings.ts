/**
 * Who was heard where, put together: a host that is met at several addresses is one host. Anybody may
 * say that he is anybody, so nothing that was heard replaces what was heard before: a neighbour who
 * lies adds an address that leads nowhere, and all that he can fill is bounded.
 */
import { isIPv4 } from 'node:net';
import type { PeerId } from '../trust/fingerprint.js';
import type { HostFacts } from './packets.js';

/** As transport/address.ts has it; a link-local IPv6 address with its zone. */
export interface HostAddress {
  readonly host: string;
  readonly port: number;
}

export interface DiscoveredHost {
  /** The first 64 bits of the fingerprint it claims. */
  readonly identityPrefix: PeerId;
  readonly name: string;
  /** What to dial, best first. At least one. */
  readonly addresses: readonly HostAddress[];
  /** What it said last. */
  readonly facts: HostFacts;
}

/** `direct`: a packet came from there. `reported`: somebody says that it is there. */
export type Evidence = 'direct' | 'reported';

const MAX_HOSTS = 64;
const MAX_ADDRESSES = 8;

interface Sighting {
  readonly address: HostAddress;
  readonly evidence: Evidence;
  readonly rank: number;
}

export class Sightings {
  readonly #isNear: (address: string) => boolean;
  readonly #hosts = new Map<string, { facts: HostFacts; sightings: Sighting[] }>();

  /** `isNear` says of an IP literal whether it is in a subnet of this machine. */
  constructor(isNear: (address: string) => boolean) {
    this.#isNear = isNear;
  }

  /** Returns the host where it, or an address of it, is new. */
  note(facts: HostFacts, host: string, evidence: Evidence): DiscoveredHost | undefined {
    const key = `${facts.identityPrefix} ${facts.name}`;
    const known = this.#hosts.get(key);
    if (known === undefined && this.#hosts.size >= MAX_HOSTS) return undefined;
    const entry = known ?? { facts, sightings: [] };
    // DNS-SD says nothing of the load.
    entry.facts = { ...facts, loadPercent: facts.loadPercent ?? entry.facts.loadPercent };
    this.#hosts.set(key, entry);
    const address = { host, port: facts.port };
    return this.#add(entry.sightings, { address, evidence, rank: this.#rank(host, evidence) })
      ? hostOf(entry)
      : undefined;
  }

  /** By name, so that the numbers of a list are the same at the next look. */
  get hosts(): DiscoveredHost[] {
    return [...this.#hosts.values()].map(hostOf).sort((a, b) => {
      const [left, right] = [a, b].map(({ name, identityPrefix }) => [
        name.toLowerCase(),
        identityPrefix,
      ]) as [string[], string[]];
      return left.join(' ') < right.join(' ') ? -1 : 1;
    });
  }

  /** False for one that was there, or for which there is no room. What was heard directly comes first. */
  #add(sightings: Sighting[], sighting: Sighting): boolean {
    const at = sightings.findIndex(({ address }) => isSameAddress(address, sighting.address));
    const known = sightings[at];
    if (known !== undefined) {
      if (known.rank > sighting.rank) sightings[at] = sighting;
      return false;
    }
    if (sightings.length >= MAX_ADDRESSES) {
      const victim = sightings.findLastIndex(({ evidence }) => evidence === 'reported');
      if (sighting.evidence === 'reported' || victim < 0) return false;
      sightings.splice(victim, 1);
    }
    sightings.push(sighting);
    return true;
  }

  /** Lower is better: what was heard, then what is near, then the family whose addresses need no zone. */
  #rank(host: string, evidence: Evidence): number {
    const isLoopback = host === '::1' || host.startsWith('127.');
    const nearness = this.#isNear(host) ? (isLoopback ? 1 : 0) : 2;
    return (evidence === 'direct' ? 0 : 10) + 2 * nearness + (isIPv4(host) ? 0 : 1);
  }
}

function hostOf({ facts, sightings }: { facts: HostFacts; sightings: Sighting[] }): DiscoveredHost {
  return {
    identityPrefix: facts.identityPrefix,
    name: facts.name,
    addresses: sightings.toSorted((a, b) => a.rank - b.rank).map(({ address }) => address),
    facts,
  };
}

function isSameAddress(a: HostAddress, b: HostAddress): boolean {
  return a.host === b.host && a.port === b.port;
}
