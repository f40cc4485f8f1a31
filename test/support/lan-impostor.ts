/**
 * `node lan-impostor.js PREFIX PORT DIRECTORY`: takes the calls of a host with this identity on its machine, and
 * dials whoever wants to be dialled: first from the address of a neighbour, 10.77.0.3, then from the host's own to
 * say nothing, then to speak TLS with a key of his own; at last he passes the connection on to the real
 * host, at PORT of 127.0.0.1. Tells how each ended.
 */
import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { decodeCallPacket, encodeCookie } from '../../src/discovery/call-packets.js';
import { DISCOVERY_PORT } from '../../src/discovery/packets.js';
import { ALPN_CONTROL, ALPN_RUN } from '../../src/protocol/messages.js';
import type { PeerId } from '../../src/trust/fingerprint.js';
import { loadOrCreateIdentity } from '../../src/trust/identity.js';

const [prefix = '', hostPort = '', directory = ''] = process.argv.slice(2);
const { keyPem, certPem } = loadOrCreateIdentity(directory);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function dial(from: RemoteInfo, port: number, localAddress?: string): Promise<Socket> {
  const socket = net.connect({
    host: from.address,
    port,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function lie(from: RemoteInfo, port: number): Promise<void> {
  const neighbour = await dial(from, port, '10.77.0.3');
  neighbour.resume();
  await once(neighbour, 'close');
  say(`a neighbour was told ${neighbour.bytesRead} bytes`);
  const silent = await dial(from, port);
  silent.resume();
  const stranger = await dial(from, port);
  const secure = new tls.TLSSocket(stranger, {
    isServer: true,
    key: keyPem,
    cert: certPem,
    ALPNProtocols: [ALPN_RUN, ALPN_CONTROL],
  });
  let told = 0;
  secure.on('error', () => undefined);
  secure.on('data', (bytes: Buffer) => (told += bytes.length));
  await once(stranger, 'close');
  say(`another key was told ${told} bytes`);
  const client = await dial(from, port);
  const host = net.connect(Number(hostPort), '127.0.0.1');
  client.pipe(host).on('error', () => client.destroy());
  host.pipe(client);
}

let isLying = false;
const calls = createSocket('udp4');
calls.on('message', (bytes: Buffer, from: RemoteInfo) => {
  const packet = decodeCallPacket(bytes);
  if (packet?.kind === 'call') {
    const answer = { cookie: Buffer.alloc(16, 7), identityPrefix: prefix as PeerId };
    calls.send(encodeCookie(answer, packet.nonce), from.port, from.address);
  }
  if (packet?.kind !== 'call-back' || isLying) return;
  isLying = true;
  void lie(from, packet.wanted.port);
});
calls.bind(DISCOVERY_PORT, () => say('lying'));
