/** By which cards of this machine a client came in: what it needs to wake this machine by. */
import os from 'node:os';
import { plainIpAddress } from '../transport/address.js';
import { MAX_HARDWARE_ADDRESSES, isHardwareAddress } from '../util/hardware-address.js';

type Interfaces = NodeJS.Dict<os.NetworkInterfaceInfo[]>;

/** Asking the system costs a millisecond where it has a hundred interfaces, and a greeting waits for it. */
const FRESH_MS = 60_000;
let asked: { readonly atMs: number; readonly interfaces: Interfaces } | undefined;

/**
 * Those of the interfaces that have this address (a socket's own); none for the loopback, for tunnels, and
 * where the address is gone.
 */
export function hardwareAddressesAt(localAddress: string | undefined): string[] {
  const atMs = performance.now();
  if (asked === undefined || atMs - asked.atMs > FRESH_MS)
    asked = { atMs, interfaces: os.networkInterfaces() };
  return hardwareAddressesOf(asked.interfaces, localAddress);
}

export function hardwareAddressesOf(
  interfaces: Interfaces,
  localAddress: string | undefined,
): string[] {
  // A link-local one has its zone behind it.
  const address = plainIpAddress(localAddress ?? '').split('%')[0];
  const found = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter((each) => !each.internal && each.address === address)
    .map(({ mac }) => mac.toLowerCase());
  return [...new Set(found)].filter(isHardwareAddress).slice(0, MAX_HARDWARE_ADDRESSES);
}
