/**
 * Who was heard where, put together: a host that is met at several addresses is one host. Anybody may
 * say that he is anybody, so nothing that was heard replaces what was heard before: a neighbour who
 * lies adds an address that leads nowhere, and all that he can fill is bounded. Where it is full, whoever
 * told of most hosts makes room for whoever told of fewer: made-up hosts keep no real one out.
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

interface Entry {
  facts: HostFacts;
  readonly sightings: Sighting[];
  /** Where it was first heard of. */
  readonly teller: string;
}

interface Sighting {
  readonly address: HostAddress;
  readonly evidence: Evidence;
  readonly rank: number;
}

export class Sightings {
  readonly #isNear: (address: string) => boolean;
  readonly #wanted: PeerId | undefined;
  readonly #hosts = new Map<string, Entry>();

  /**
   * `isNear` says of an IP literal whether it is in a subnet of this machine; `wanted` is the host that nobody
   * else keeps out.
   */
  constructor(isNear: (address: string) => boolean, wanted?: PeerId) {
    this.#isNear = isNear;
    this.#wanted = wanted;
  }

  /** Returns the host where it, or an address of it, is new. */
  note(facts: HostFacts, host: string, evidence: Evidence): DiscoveredHost | undefined {
    const key = `${facts.identityPrefix} ${facts.name}`;
    const known = this.#hosts.get(key);
    if (known === undefined && !this.#makeRoom(facts, host)) return undefined;
    const entry = known ?? { facts, sightings: [], teller: host };
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

  /** False where it is full and nobody told of more hosts than this teller. */
  #makeRoom({ identityPrefix }: HostFacts, teller: string): boolean {
    if (this.#hosts.size < MAX_HOSTS) return true;
    const counts = new Map<string, number>();
    for (const entry of this.#hosts.values())
      counts.set(entry.teller, (counts.get(entry.teller) ?? 0) + 1);
    const isWanted = identityPrefix === this.#wanted;
    const least = (counts.get(teller) ?? 0) + (isWanted ? 0 : 1);
    let victim: { readonly key: string; readonly count: number } | undefined;
    for (const [key, { facts, teller: other }] of this.#hosts) {
      const count = counts.get(other) ?? 0;
      if (count <= least || (facts.identityPrefix === this.#wanted && !isWanted)) continue;
      if (victim === undefined || count >= victim.count) victim = { key, count };
    }
    if (victim === undefined) return false;
    this.#hosts.delete(victim.key);
    return true;
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

function hostOf({ facts, sightings }: Entry): DiscoveredHost {
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
