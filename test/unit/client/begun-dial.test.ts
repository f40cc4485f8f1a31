import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BegunDial } from '../../../src/client/begun-dial.js';
import { secureAsClient } from '../../../src/transport/secure-stream.js';
import { loadOrCreateIdentity } from '../../../src/trust/identity.js';

async function listening(): Promise<net.Server> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const addressOf = (server: net.Server): { host: string; port: number } => ({
  host: '127.0.0.1',
  port: (server.address() as AddressInfo).port,
});

async function connectionOf(server: net.Server): Promise<net.Socket> {
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  socket.on('error', () => undefined);
  return socket;
}

test('connects before anybody takes it, and is taken as it is', async () => {
  const server = await listening();
  const arriving = connectionOf(server);
  const begun = new BegunDial(addressOf(server));
  const there = await arriving;
  const here = await begun.take(undefined);
  here.write('x');
  const [bytes] = (await once(there, 'data')) as [Buffer];
  assert.equal(bytes.toString(), 'x');
  begun[Symbol.dispose]();
  assert.equal(here.destroyed, false, 'what was taken is not ended');
  here.destroy();
  server.close();
});

for (const how of ['end', 'resetAndDestroy'] as const)
  test(`a host that hangs up before it is taken is met by whoever takes it (${how})`, async () => {
    const server = await listening();
    const arriving = connectionOf(server);
    const begun = new BegunDial(addressOf(server));
    const there = await arriving;
    there[how]();
    await once(there, how === 'end' ? 'finish' : 'close');
    // Whatever Node would read by itself it has read after these.
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    const directory = mkdtempSync(path.join(tmpdir(), 'rmtx-begun-dial-'));
    const securing = begun.take(undefined).then((stream) =>
      secureAsClient({
        stream,
        identity: loadOrCreateIdentity(directory),
        alpn: 'rmtx/1',
        pins: [],
        timeoutMs: 60_000,
        description: 'the host',
      }),
    );
    await assert.rejects(securing, {
      code: 'ERR_RMTX_HOST_UNREACHABLE',
      message: /disconnected|closed|ECONNRESET/,
    });
    there.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  });

test('ends where nobody takes it', async () => {
  const server = await listening();
  const arriving = connectionOf(server);
  const begun = new BegunDial(addressOf(server));
  const there = await arriving;
  begun[Symbol.dispose]();
  there.resume();
  await once(there, 'close');
  server.close();
});

test('is given up with the run that took it, or would have', async () => {
  const server = await listening();
  for (const when of ['before', 'after'] as const) {
    const arriving = connectionOf(server);
    const begun = new BegunDial(addressOf(server));
    const there = await arriving;
    const abort = new AbortController();
    if (when === 'before') abort.abort();
    const taken = begun.take(abort.signal).catch((error: unknown) => error);
    if (when === 'after') abort.abort();
    await taken;
    there.resume();
    await once(there, 'close');
  }
  server.close();
});

test('an address where nothing listens is said to whoever takes it', async () => {
  const server = await listening();
  const address = addressOf(server);
  server.close();
  await once(server, 'close');
  const begun = new BegunDial(address);
  await assert.rejects(begun.take(undefined), { code: 'ERR_RMTX_HOST_UNREACHABLE' });
});
