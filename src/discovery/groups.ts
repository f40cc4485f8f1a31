import type { LanGroup } from './lan-sockets.js';
import { DISCOVERY_PORT } from './packets.js';

/** Addresses for local use that nobody has to assign (RFC 2365, RFC 4291 §2.7); the last part spells rmtx. */
export const DISCOVERY_GROUP: LanGroup = {
  port: DISCOVERY_PORT,
  ipv4: '239.255.33.22',
  ipv6: 'ff12::726d:7478',
  hops: 1,
  hasBroadcast: true,
};

/** Multicast DNS (RFC 6762 §3, §11). */
export const MDNS_GROUP: LanGroup = {
  port: 5353,
  ipv4: '224.0.0.251',
  ipv6: 'ff02::fb',
  hops: 255,
  hasBroadcast: false,
};
