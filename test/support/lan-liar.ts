/**
 * `node lan-liar.js PREFIX NAME`: a neighbour who claims to be another host, to everybody who asks and at
 * once, and listens where he says that it does.
 */
import { createServer } from 'node:net';
import { LanSockets } from '../../src/discovery/lan-sockets.js';
import { DISCOVERY_GROUP } from '../../src/discovery/groups.js';
import { lanInterfaces } from '../../src/discovery/lan-interfaces.js';
import { decodePacket, encodeAnnouncement, encodeAnswer } from '../../src/discovery/packets.js';
import type { PeerId } from '../../src/trust/fingerprint.js';

const [prefix = '', name = ''] = process.argv.slice(2);
const lie = {
  service: 'rmtx',
  name,
  port: 33_221,
  identityPrefix: prefix as PeerId,
  isPairingOpen: true,
};

// Takes every connection and says nothing: the worst that an address can do.
createServer(() => undefined).listen(lie.port);
const sockets = new LanSockets({
  group: DISCOVERY_GROUP,
  role: 'member',
  interfaces: lanInterfaces,
  onMessage: (bytes, from) => {
    const packet = decodePacket(bytes);
    if (packet?.kind !== 'query') return;
    for (let port = lie.port; port < lie.port + 3; port++)
      sockets.sendTo(encodeAnswer({ ...lie, port }, packet.nonce), from);
  },
});
void sockets.ready.then(() => {
  sockets.sendToAll(encodeAnnouncement(lie));
  process.stdout.write('lying\n');
});
