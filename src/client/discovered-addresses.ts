/** Where a paired host is by now: the addresses that are remembered, then those that the network tells of. */
import { findPinned } from '../discovery/find-hosts.js';
import { formatAddress } from '../transport/address.js';
import type { Address } from '../transport/address.js';
import { fingerprintId } from '../trust/fingerprint.js';
import type { Fingerprint } from '../trust/fingerprint.js';

export interface AddressSources {
  /** Best first. */
  readonly remembered: readonly Address[];
  /** The keys that are meant. Whoever dials compares them with what answers: an address is only a hint. */
  readonly pins: readonly Fingerprint[];
  /** Undefined: nobody is to look around, because the user named the address or switched it off. */
  readonly lookAround: { readonly service: string; readonly timeoutMs: number } | undefined;
  readonly abortSignal?: AbortSignal | undefined;
}

/**
 * The remembered addresses, each once, and then whatever is heard of the pinned hosts, for as long as
 * `timeoutMs` says. Nothing is looked for before somebody asks for the address after the last remembered
 * one, so that a host which is where it was costs nothing. Never throws.
 */
export async function* addressesOf(sources: AddressSources): AsyncGenerator<Address, void> {
  const { remembered, pins, lookAround, abortSignal } = sources;
  const given = new Set<string>();
  const isNew = (address: Address): boolean => {
    const before = given.size;
    return given.add(formatAddress(address)).size > before;
  };
  yield* remembered.filter(isNew);
  if (lookAround === undefined) return;
  const heard = findPinned({
    ...lookAround,
    identityPrefixes: pins.map(fingerprintId),
    abortSignal,
  });
  for await (const address of heard) if (isNew(address)) yield address;
}
