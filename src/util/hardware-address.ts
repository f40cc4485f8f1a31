/** Addresses of network cards (MAC, EUI-48), as `3c:7c:3f:01:02:03`. */

const FORM = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;
/** More than one interface with the same IP address has. */
export const MAX_HARDWARE_ADDRESSES = 4;

/**
 * True for the address of one card. Six zeros stand for none, and an odd first byte for a group of cards
 * (IEEE 802): everybody would be meant.
 */
export function isHardwareAddress(text: string): boolean {
  return FORM.test(text) && text !== '00:00:00:00:00:00' && !isGroup(text);
}

export function hardwareAddressBytes(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

function isGroup(text: string): boolean {
  return (Number.parseInt(text.slice(0, 2), 16) & 1) === 1;
}
