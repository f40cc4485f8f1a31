/** `node lan-flood.js ADDRESS PORT COUNT`: sends so many packets as fast as it can, questions among them. */
import { createSocket } from 'node:dgram';
import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { encodeQuery } from '../../src/discovery/packets.js';

async function flood(address: string, port: number, count: number): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  const packets = [
    encodeQuery('rmtx', randomBytes(8)),
    encodeQuery('other', randomBytes(8)),
    randomBytes(256),
    Buffer.concat([encodeQuery('rmtx', randomBytes(8)).subarray(0, 20), randomBytes(400)]),
    Buffer.alloc(1400, 1),
  ];
  let answers = 0;
  socket.on('message', () => (answers += 1));
  for (let sent = 0; sent < count; sent++) {
    socket.send(packets[sent % packets.length] ?? '', port, address);
    if (sent % 200 === 0) await turn();
  }
  await turn();
  process.stdout.write(`${answers}\n`, () => process.exit(0));
}

const [address = '', port, count] = process.argv.slice(2);
void flood(address, Number(port), Number(count));
