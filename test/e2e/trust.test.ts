import assert from 'node:assert/strict';
import { once } from 'node:events';
import { lstatSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { describe, test } from 'node:test';
import { PeerConnection } from '../../src/protocol/connection.js';
import { loadOrCreateIdentity } from '../../src/trust/identity.js';
import { Rig } from '../support/rig.js';
import type { RigHost } from '../support/rig.js';

function connectTls(host: RigHost, options: tls.ConnectionOptions): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: host.port,
      rejectUnauthorized: false,
      ...options,
    });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Every file below a directory by its name, with its mode; times and the name of this machine are left out. */
function filesBelow(directory: string): Record<string, unknown> {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const entries = names.toSorted().map((name): [string, unknown] => {
    const file = path.join(directory, name);
    const { mode } = lstatSync(file);
    if (!name.endsWith('.json')) return [name, mode];
    const fields = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    return [name, { mode, ...fields, paired_at: '', label: '' }];
  });
  return Object.fromEntries(entries);
}

test('a pairing leaves on both sides what the other tests begin with', async () => {
  await using rig = new Rig();
  const host = await rig.host();
  const client = rig.client();
  const home = path.join(client.home, '.rmtx');
  const trusted = path.join(host.stateDirectory, 'clients');
  await client.pair(host);
  const real = [filesBelow(home), filesBelow(trusted)];
  rmSync(path.join(home, 'hosts'), { recursive: true });
  for (const name of readdirSync(trusted)) rmSync(path.join(trusted, name));
  client.befriend(host);
  assert.deepEqual([filesBelow(home), filesBelow(trusted)], real);
});

describe('who gets in', () => {
  test('a client that is not paired gets 125 and the way to pair', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const other = await rig.host();
    const stranger = rig.pairedClient(other);
    const { fingerprint } = JSON.parse((await host.admin('status', '--json')).text) as {
      fingerprint: string;
    };
    const project = stranger.project(
      {},
      { host, config: { tls: { host_fingerprint: fingerprint } } },
    );
    const result = await project.exec(['true']);
    assert.equal(result.code, 125);
    assert.match(result.stderr, /does not know this client/);
    assert.match(result.stderr, /hint: .*rmtx pair/);
  });

  test('a host with another key is refused before anything is sent', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const impostor = await rig.host();
    const project = client.project({}, { host });
    const result = await project.exec(['true'], { flags: ['--host', impostor.address] });
    assert.equal(result.code, 125);
    assert.match(result.stderr, /not the paired host/);
  });

  test('a wrong code is refused, three burn the window, a new code ends the pause', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const right = await host.pairCode();
    const client = rig.client();
    // Another code with a right check digit: found by asking for new ones is not possible, so it is
    // taken from another host.
    const wrong = await (await rig.host()).pairCode();
    assert.notEqual(wrong, right);
    for (let attempt = 0; attempt < 3; attempt++) {
      const result = await client.rmtx(['pair', '--host', host.address, '--code', wrong]);
      assert.equal(result.code, 1, result.stderr);
    }
    const burned = await client.rmtx(['pair', '--host', host.address, '--code', right]);
    assert.equal(burned.code, 1);
    const fresh = await client.rmtx([
      'pair',
      '--host',
      host.address,
      '--code',
      await host.pairCode(),
    ]);
    assert.equal(fresh.code, 0, fresh.stderr);
  });

  test('revoking a client closes its run and keeps it out', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const project = client.project({}, { host });
    const running = client.start(['exec', '--', 'sh', '-c', 'echo started; exec sleep 1000'], {
      cwd: project.root,
    });
    await running.says(/started/);
    const { clients } = JSON.parse((await host.admin('clients', 'list', '--json')).text) as {
      clients: { id: string }[];
    };
    const revoked = await host.admin('clients', 'revoke', clients[0]!.id);
    assert.equal(revoked.code, 0, revoked.stderr);
    assert.equal((await running.ended).code, 125);
    const after = await project.exec(['true']);
    assert.equal(after.code, 125);
    assert.match(after.stderr, /does not know this client/);
  });

  test('only TLS 1.3 with a certificate and one of our languages', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const identity = loadOrCreateIdentity(path.join(rig.newDirectory('stranger'), 'identity'));
    const certificate = { key: identity.keyPem, cert: identity.certPem };
    await assert.rejects(
      connectTls(host, { ...certificate, ALPNProtocols: ['rmtx/1'], maxVersion: 'TLSv1.2' }),
    );
    for (const options of [
      { ALPNProtocols: ['rmtx/1'] },
      { ALPNProtocols: ['rmtx-pair/1'] },
      certificate,
    ]) {
      const socket = await connectTls(host, options).catch(() => undefined);
      if (socket !== undefined) {
        socket.on('error', () => undefined);
        socket.resume();
        await once(socket, 'close');
      }
    }
    const run = new PeerConnection(
      await connectTls(host, { ...certificate, ALPNProtocols: ['rmtx/1'] }),
    );
    const answers: unknown[] = [];
    run.receiveMessages((message) => answers.push(message));
    run.send({ type: 'run_open' });
    await run.closed;
    assert.equal((answers[0] as { code: string }).code, 'ERR_RMTX_NOT_PAIRED');
    assert.equal(answers.length, 1);
  });

  test('silent sockets do not keep a paired client out', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const project = client.project({}, { host });
    const sockets = Array.from({ length: 1000 }, () => net.connect(host.port, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => undefined);
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const result = await project.exec(['echo', 'served']);
    assert.equal(result.text, 'served\n', result.stderr);
    for (const socket of sockets) socket.destroy();
  });

  test('a second host on one state directory refuses', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const second = rig.start(
      ['host', '--listen', '127.0.0.1:0', '--state-dir', host.stateDirectory],
      { home: rig.newDirectory('home') },
    );
    const result = await second.ended;
    assert.equal(result.code, 1);
    assert.match(result.stderr, /another rmtx host uses this state directory/);
    assert.equal((await host.stop()).code, 0);
  });
});
