/** Which of this machine's networks leads to an address. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { subnetCheck } from '../../discovery/lan-interfaces.js';
import type { LanInterface } from '../../discovery/lan-interfaces.js';
import { systemErrorCode } from '../../errors.js';

/** `errorCode`: as the system says that there is no way. */
export type Way = { readonly source: string } | { readonly errorCode: string };

/** What the system would send from. Connecting a datagram socket sends nothing. */
export function wayTo(address: string): Promise<Way> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address.split('%')[0] ?? '') ? 'udp6' : 'udp4');
    const fail = (error: unknown): void => {
      socket.close();
      resolve({ errorCode: systemErrorCode(error) ?? 'unknown' });
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      const { address: source } = socket.address();
      socket.close();
      resolve({ source });
    });
    // Any port: nothing is sent to it.
    socket.connect(9, address);
  });
}

/** The interface that has this address. */
export function interfaceOf(
  interfaces: readonly LanInterface[],
  address: string,
): LanInterface | undefined {
  const [literal] = address.split('%');
  return interfaces.find(({ ipv4, ipv6 }) =>
    [...ipv4, ...ipv6].some((each) => each.address === literal),
  );
}

/** Tunnels, as the usual VPN programs name them on Linux, macOS and Windows. */
const VPN_NAME =
  /^(?:tun|tap|wg|utun|tailscale|ppp|ipsec|zt|nordlynx|proton|cscotun|gpd|wireguard|openvpn|vpn)/i;

export function isVpn({ name }: Pick<LanInterface, 'name'>): boolean {
  return VPN_NAME.test(name);
}

/** Whether it is in a subnet of an interface that is no tunnel, so that no router stands between. */
export function isNearby(interfaces: readonly LanInterface[], address: string): boolean {
  return subnetCheck(interfaces.filter((each) => !isVpn(each)))(address);
}

/** Addresses that only mean something within a network: RFC 1918, RFC 6598, RFC 3927, RFC 4193, link-local. */
export function isPrivate(address: string): boolean {
  return /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|169\.254\.|f[cd]|fe[89ab])/i.test(
    address,
  );
}

export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
