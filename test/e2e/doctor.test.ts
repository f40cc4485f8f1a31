/** `rmtx doctor` in set-ups that are broken in one way each, on loopback. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { describe, test } from 'node:test';
import { loadOrCreateIdentity } from '../../src/trust/identity.js';
import { diagnose, stepOf, verdictOf } from '../support/diagnosis.js';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import { SmallDisk, noSmallDisks } from '../support/small-disk.js';

const paired = new PairedRig();

const hasSetpriv = spawnSync('setpriv', ['--version']).status === 0;
const mayBecome = process.getuid?.() === 0 && hasSetpriv;

/** No test but those about it waits for answers of the network. */
const QUIET = { discovery: { enabled: false } };

/** Everything below a directory, with the contents of what is meant to stay as it is. */
function tree(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !file.endsWith('.seen'))
    .sort();
}

/** Something that is no rmtx host, at a port of its own. */
async function listening(server: net.Server): Promise<AsyncDisposable & { address: string }> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('doctor, where all is well', () => {
  test('takes every step, and leaves nothing behind', async () => {
    await using rig = new Rig();
    const service = `doctor-${process.pid}`;
    const host = await rig.host({ service });
    const client = rig.pairedClient(host);
    const project = client.project(
      { 'file.txt': 'mine' },
      { host, config: { discovery: { service } } },
    );
    const [here, there] = [tree(client.home), tree(host.stateDirectory)];
    const diagnosis = await diagnose(project);
    assert.equal(verdictOf(diagnosis), 'well');
    for (const { step, verdict, detail } of diagnosis.steps)
      if (step !== 'run') assert.equal(verdict, 'ok', `${step}: ${detail ?? ''}`);
    assert.match(stepOf(diagnosis, 'run').detail ?? '', /^a command ran/);
    assert.deepEqual(tree(client.home), here);
    assert.deepEqual(tree(host.stateDirectory), there);
    assert.deepEqual(readdirSync(project.root).sort(), ['.rmtx.json', 'file.txt']);
    for (const args of [
      ['runs', '--all'],
      ['context', 'list'],
    ])
      assert.doesNotMatch((await client.rmtx(args, { cwd: project.root })).text, /doctor|echo/);
    assert.equal((await host.stop()).code, 0);
  });

  test('shows it in words, in ASCII where there is nothing else, and is quiet with -q', async () => {
    const project = paired.project({}, QUIET);
    const text = async (args: string[], env: Record<string, string>): Promise<string> =>
      (await project.client.rmtx(['doctor', ...args], { cwd: project.root, env })).text;
    const said = await text([], {});
    assert.match(said, /^✓ config +[\d.a-z]+ {2}\/.*\.rmtx\.json$/m);
    assert.match(said, /^✓ tcp +[\d.a-z]+ {2}127\.0\.0\.1:\d+ takes connections$/m);
    assert.match(said, /\n\nall is well(?:, with 1 warning)?\n$/);
    assert.doesNotMatch(said, /\x1b/);
    assert.match(await text([], { LANG: 'C' }), /^\+ config /m);
    assert.match(await text(['-q'], {}), /^\nall is well/);
  });

  test('Ctrl-C ends it at once', async () => {
    const project = paired.project({}, QUIET);
    await using silent = await listening(net.createServer(() => undefined));
    const running = project.client.start(['doctor', '--host', silent.address], {
      cwd: project.root,
    });
    await running.says(/✓ tcp/);
    running.child.kill('SIGINT');
    const { signal, text } = await running.ended;
    assert.equal(signal, 'SIGINT');
    assert.doesNotMatch(text, /tls/);
  });
});

describe('doctor names the right cause', { concurrency: 2 }, () => {
  test('the host does not run', async () => {
    await using rig = new Rig();
    const project = await rig.project({}, QUIET);
    await project.host.stop();
    const diagnosis = await diagnose(project);
    assert.equal(verdictOf(diagnosis), 'tcp: host-not-running');
    assert.match(stepOf(diagnosis, 'tcp').cure ?? '', /rmtx host/);
    assert.equal(stepOf(diagnosis, 'tls').verdict, 'not-reached');
    const { text, code } = await project.client.rmtx(['doctor'], { cwd: project.root });
    assert.deepEqual([code, text.split('\n').at(-2)], [1, 'failed at tcp: start it: rmtx host']);
  });

  test('another service has the port: HTTP, ssh, a TLS server, one that is silent', async () => {
    const project = paired.project({}, QUIET);
    const { keyPem: key, certPem: cert } = loadOrCreateIdentity(paired.rig.newDirectory('other'));
    const servers: Record<string, net.Server> = {
      'not with TLS': http.createServer((_request, response) => response.end('hello')),
      '(?:not with TLS|during the TLS)': net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.end('SSH-2.0-OpenSSH_9.2\r\n');
      }),
      'speaks TLS, but not rmtx': tls.createServer({ key, cert, ALPNProtocols: ['h2'] }),
      'says nothing': net.createServer(() => undefined),
    };
    for (const [words, server] of Object.entries(servers)) {
      await using other = await listening(server);
      const diagnosis = await diagnose(project, ['--host', other.address]);
      assert.match(verdictOf(diagnosis), /^tls: (?:another-service|connection-cut)$/, words);
      assert.match(stepOf(diagnosis, 'tls').detail ?? '', new RegExp(words));
      assert.match(stepOf(diagnosis, 'tls').cause ?? '', /another service/);
    }
  });

  test('a TLS server that takes HTTP has another key, and none of our languages', async () => {
    const project = paired.project({}, QUIET);
    const { keyPem: key, certPem: cert } = loadOrCreateIdentity(paired.rig.newDirectory('other'));
    await using other = await listening(
      tls.createServer({ key, cert, ALPNProtocols: ['http/1.1'] }),
    );
    const diagnosis = await diagnose(project, ['--host', other.address]);
    assert.equal(verdictOf(diagnosis), 'tls: another-service');
  });

  test('another identity, a reinstalled host or an impostor; another host of ours', async () => {
    await using rig = new Rig();
    const project = await rig.project({}, QUIET);
    const stranger = await rig.host();
    const diagnosis = await diagnose(project, ['--host', stranger.address]);
    assert.equal(verdictOf(diagnosis), 'identity: another-identity');
    assert.match(stepOf(diagnosis, 'identity').cause ?? '', /reinstalled.*impostor/);
    assert.match(stepOf(diagnosis, 'identity').cure ?? '', /rmtx host status\n/);
  });

  test('the pairing was revoked', async () => {
    await using rig = new Rig();
    const project = await rig.project({}, QUIET);
    const { clients } = JSON.parse((await project.host.admin('clients', '--json')).text) as {
      clients: { id: string }[];
    };
    await project.host.admin('clients', 'revoke', clients[0]!.id);
    const diagnosis = await diagnose(project);
    assert.equal(verdictOf(diagnosis), 'pairing: revoked');
    assert.match(stepOf(diagnosis, 'pairing').cure ?? '', /pair-code\n.*rmtx pair --host/);
  });

  test('nobody has ever paired: the way is examined all the same, and nothing is made at home', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const project = client.project({}, { host, config: QUIET });
    const diagnosis = await diagnose(project);
    assert.equal(verdictOf(diagnosis), 'pairing: not-paired');
    assert.equal(stepOf(diagnosis, 'identity').verdict, 'ok');
    assert.deepEqual(readdirSync(client.home), []);
    rmSync(project.path('.rmtx.json'));
    assert.equal(verdictOf(await diagnose(project)), 'name: not-paired');
  });

  test('a name that means nothing, an address that is none, several hosts', async () => {
    await using rig = new Rig();
    const project = await rig.project({}, QUIET);
    const unknown = await diagnose(project, ['--host', 'no-such-host.invalid']);
    assert.match(verdictOf(unknown), /^name: (?:name-unknown|no-name-service)$/);
    assert.equal(verdictOf(await diagnose(project, ['--host', 'a b'])), 'name: address-invalid');
    const second = await rig.host({ name: 'attic' });
    project.client.befriend(second);
    rmSync(project.path('.rmtx.json'));
    const several = await diagnose(project);
    assert.equal(verdictOf(several), 'name: several-hosts');
    assert.match(stepOf(several, 'name').cure ?? '', /attic/);
    assert.equal(stepOf(several, 'config').code, 'no-config');
  });

  test('the config has a mistake: it fails, and the host is examined all the same', async () => {
    const project = paired.project({}, QUIET);
    writeFileSync(project.path('.rmtx.json'), '{ "version": 1, "sync_bak": [] }');
    const diagnosis = await diagnose(project, ['--host', project.host.address]);
    assert.equal(verdictOf(diagnosis), 'config: config-invalid');
    assert.match(stepOf(diagnosis, 'config').detail ?? '', /\.rmtx\.json.*sync_bak/);
    assert.match(stepOf(diagnosis, 'run').detail ?? '', /^a command ran/);
  });

  test('the state directory is open to others, a file, or damaged', async () => {
    const project = paired.project({}, QUIET);
    const home = path.join(project.client.home, '.rmtx');
    chmodSync(home, 0o755);
    const open = await diagnose(project);
    assert.deepEqual([verdictOf(open), stepOf(open, 'state').code], ['well', 'state-not-private']);
    chmodSync(home, 0o777);
    const writable = await diagnose(project);
    assert.equal(verdictOf(writable), 'state: state-not-private');
    assert.match(stepOf(writable, 'state').cure ?? '', /^chmod 700 \//);
    chmodSync(home, 0o700);
    const file = path.join(project.root, 'a-file');
    writeFileSync(file, '');
    const notOne = await diagnose(project, [], { env: { RMTX_HOME: file } });
    assert.equal(verdictOf(notOne), 'state: state-unusable');
    writeFileSync(path.join(home, 'identity', 'key.pem'), 'no key');
    assert.equal(verdictOf(await diagnose(project)), 'state: state-unusable');
  });

  test(
    'the state directory belongs to another user',
    { skip: mayBecome ? false : 'needs root and setpriv' },
    async () => {
      await using rig = new Rig();
      const project = await rig.project({}, QUIET);
      for (const directory of [rig.directory, project.client.home, project.root])
        chmodSync(directory, 0o755);
      const wrap = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const diagnosis = await diagnose(project, ['--host', project.host.address], { wrap });
      assert.equal(stepOf(diagnosis, 'state').code, 'state-not-writable');
      assert.match(stepOf(diagnosis, 'state').cure ?? '', /chown -R 65534/);
    },
  );

  test('the disk of the host is full', { skip: noSmallDisks() }, async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const host = await rig.host({ stateDirectory: path.join(disk.directory, 'state') });
    const client = rig.pairedClient(host);
    const project = client.project({}, { host, config: QUIET });
    disk.fill();
    const diagnosis = await diagnose(project);
    assert.equal(verdictOf(diagnosis), 'disk: disk-full');
    assert.match(stepOf(diagnosis, 'disk').cure ?? '', /rmtx context prune/);
    disk.free();
    assert.equal(verdictOf(await diagnose(project)), 'well');
  });

  test('the disk of this machine is full', { skip: noSmallDisks() }, async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const project = await rig.project({}, QUIET);
    const env = { RMTX_HOME: path.join(disk.directory, 'rmtx') };
    const pair = ['pair', '--host', project.host.address, '--code', await project.host.pairCode()];
    assert.equal((await project.client.rmtx(pair, { env })).code, 0);
    disk.fill();
    const diagnosis = await diagnose(project, [], { env });
    assert.equal(verdictOf(diagnosis), 'state: disk-full-here');
  });
});
