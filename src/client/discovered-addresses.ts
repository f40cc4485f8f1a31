/** Where a paired host is by now: the addresses that are remembered, then those that the network tells of. */
import { formatAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { fingerprintId } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';

/** Whom to look for. Whoever dials compares the keys with what answers: what is heard is only a hint. */
export interface WantedHosts {
  readonly service: string;
  readonly pins: readonly Fingerprint[];
}

/**
 * The remembered addresses, best first, and then those that are heard, each once. Nothing is listened for
 * before somebody asks for the address after the last remembered one, so that a host which is where it was
 * costs nothing.
 */
export async function* addressesOf(
  remembered: readonly Address[],
  heard?: () => AsyncIterable<Address>,
): AsyncGenerator<Address, void> {
  const given = new Set<string>();
  const isNew = (address: Address): boolean => {
    const before = given.size;
    return given.add(formatAddress(address)).size > before;
  };
  yield* remembered.filter(isNew);
  if (heard === undefined) return;
  for await (const address of heard()) if (isNew(address)) yield address;
}

/**
 * Whatever is heard of these hosts until the signal is aborted, or for `timeoutMs`. Never throws; leaving
 * the loop ends it, too, at the next address.
 */
export async function* heardAddresses(
  { service, pins }: WantedHosts,
  limit: { readonly abortSignal: AbortSignal; readonly timeoutMs?: number },
): AsyncGenerator<Address, void> {
  // Loaded by whoever has to look around: a host that is where it was needs none of it.
  const { findPinned } = await import('../discovery/find-hosts.js');
  yield* findPinned({ service, identityPrefixes: pins.map(fingerprintId), ...limit });
}
