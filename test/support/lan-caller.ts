/**
 * `node lan-caller.js HOST FINGERPRINT DIRECTORY`: a stranger who asks the host to dial him, signed with a key of his
 * own, and then to pair. Tells of each connection that comes.
 */
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { Caller } from '../../src/discovery/caller.js';
import { proveCallBack } from '../../src/trust/call-back-proof.js';
import type { Fingerprint } from '../../src/trust/fingerprint.js';
import { loadOrCreateIdentity } from '../../src/trust/identity.js';

const [host = '', fingerprint = '', directory = ''] = process.argv.slice(2);
const identity = loadOrCreateIdentity(directory);
const never = new AbortController().signal;

const server = net.createServer((socket) => {
  process.stdout.write('dialled\n');
  socket.destroy();
});
server.listen(0, '0.0.0.0', () => void call((server.address() as AddressInfo).port));

async function call(port: number): Promise<void> {
  for (const isSigned of [true, false]) {
    using caller = await Caller.to(host);
    const { cookie } = await caller.ask('rmtx', never);
    const terms = { address: caller.localAddress, port, cookie, nonce: caller.nonce };
    const proof = isSigned
      ? proveCallBack(identity, { ...terms, host: fingerprint as Fingerprint })
      : undefined;
    await caller.callBack({ cookie, port, proof }, never);
  }
  process.stdout.write('called\n');
}
