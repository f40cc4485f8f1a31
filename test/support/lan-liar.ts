/**
 * `node lan-liar.js PREFIX NAME [DIRECTORY]`: a neighbour who claims to be another host, to everybody who asks
 * and at once, and listens where he says that it does. With a directory he speaks TLS there, with a key of his
 * own, and tells what he is told.
 */
import { createServer } from 'node:net';
import tls from 'node:tls';
import { LanSockets } from '../../src/discovery/lan-sockets.js';
import { DISCOVERY_GROUP } from '../../src/discovery/groups.js';
import { lanInterfaces } from '../../src/discovery/lan-interfaces.js';
import { decodePacket, encodeAnnouncement, encodeAnswer } from '../../src/discovery/packets.js';
import { ALPN_CONTROL, ALPN_RUN } from '../../src/protocol/messages.js';
import type { PeerId } from '../../src/trust/fingerprint.js';
import { loadOrCreateIdentity } from '../../src/trust/identity.js';

const [prefix = '', name = '', directory] = process.argv.slice(2);
const lie = {
  service: 'rmtx',
  name,
  port: 33_221,
  identityPrefix: prefix as PeerId,
  isPairingOpen: true,
};

if (directory === undefined) {
  // Takes every connection and says nothing: the worst that an address can do.
  createServer(() => undefined).listen(lie.port);
} else {
  const { keyPem, certPem } = loadOrCreateIdentity(directory);
  const options = { key: keyPem, cert: certPem, ALPNProtocols: [ALPN_RUN, ALPN_CONTROL] };
  const server = tls.createServer(options, (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => process.stdout.write(`told ${bytes.length} bytes\n`));
  });
  server.on('connection', () => process.stdout.write('met\n'));
  server.listen(lie.port);
}
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
