/** `node wake-catcher.js`: a network card's ears. Prints `PORT FAMILY HEX` for each datagram to the wake-up ports. */
import { createSocket } from 'node:dgram';

for (const type of ['udp4', 'udp6'] as const)
  for (const port of [9, 7]) {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' });
    socket.on('message', (bytes) => {
      process.stdout.write(`${port} ${type} ${bytes.toString('hex')}\n`);
    });
    socket.bind(port, () => process.stdout.write('ready\n'));
  }
