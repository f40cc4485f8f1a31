/** `rmtx ping` and `rmtx hosts`: whom a client is paired with, and who of them answers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { FINGERPRINT, json, jsonError, ran } from '../support/house-keeping.js';
import { Rig } from '../support/rig.js';

describe('ping and hosts', () => {
  test('ping prints one line, or a document', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client, host } = project;
    await ran(project);
    const line = await client.rmtx(['ping']);
    assert.match(
      line.text,
      new RegExp(
        `^online\tbox\t${host.address}\tversion=\\d+\\.\\d+\\.\\d+ contexts=1 rtt_ms=\\d+(\\.\\d)? fingerprint=${FINGERPRINT}\n$`,
      ),
      line.stderr,
    );
    const document = json(await client.rmtx(['ping', '--json', '--host', host.address]));
    assert.deepEqual(Object.keys(document), [
      'name',
      'address',
      'version',
      'contexts',
      'rtt_ms',
      'fingerprint',
      'at',
    ]);
    assert.deepEqual([document['name'], document['address']], ['box', host.address]);
    await host.stop();
    const offline = await client.rmtx(['ping', '--json']);
    assert.equal(offline.code, 1);
    const error = jsonError(offline);
    assert.equal(error.code, 'ERR_RMTX_HOST_UNREACHABLE');
    assert.ok(error.hint);
  });

  test('ping finds the host by --host, RMTX_HOST, its name, and alone', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    for (const [flags, env] of [
      [[], {}],
      [['--host', 'box'], {}],
      [[], { RMTX_HOST: host.address }],
      [['--host', host.address], { RMTX_HOST: '127.0.0.1:1' }],
    ] as const) {
      const result = await client.rmtx(['ping', ...flags], { env });
      assert.equal(result.code, 0, result.stderr);
    }
    await client.rmtx(['pair', '--host', (await rig.host()).address, '--code', '0']);
    const unpaired = await rig.client().rmtx(['ping']);
    assert.equal(unpaired.code, 1);
    assert.match(unpaired.stderr, /not paired[^]*hint: .*rmtx pair/);
  });

  test('a name that is no paired host’s, and leads nowhere, is compared with theirs', async () => {
    await using rig = new Rig();
    const client = rig.client();
    for (const name of ['localhost2', 'lokalhost', 'attic']) {
      const host = await rig.host({ args: ['--name', name] });
      const code = await host.pairCode();
      const paired = await client.rmtx(['pair', '--host', host.address, '--code', code]);
      assert.equal(paired.code, 0, paired.stderr);
    }
    const near = await client.rmtx(['ping', '--host', 'localhost:1']);
    assert.equal(near.code, 1);
    assert.match(
      near.stderr,
      /cannot reach the host at localhost:1 \(ECONNREFUSED\)\nrmtx: hint: .*; no paired host is called localhost; did you mean localhost2 or lokalhost\? \(rmtx hosts list shows them\)\n$/,
    );
    const address = await client.rmtx(['ping', '--host', '127.0.0.1:1']);
    assert.match(address.stderr, /hint: /);
    assert.doesNotMatch(address.stderr, /called/);
  });

  test('hosts lists whom this client is paired with, and forgets', async () => {
    await using rig = new Rig();
    const [first, second] = [await rig.host(), await rig.host()];
    const nobody = await rig.client().rmtx(['hosts']);
    assert.deepEqual([nobody.code, nobody.text.split('\n').length], [0, 2]);
    assert.match(nobody.stderr, /^rmtx: no host is paired yet: run rmtx init /);
    const client = rig.pairedClient(first);
    await client.pair(second);
    const { hosts } = json(await client.rmtx(['hosts', '--json'])) as {
      hosts: { name: string; fingerprint: string; address: string; paired_at: string }[];
    };
    // Both call themselves `box`.
    assert.deepEqual(hosts.map(({ name }) => name).sort(), ['box', 'box-2']);
    assert.deepEqual(
      hosts.map(({ address }) => address).sort(),
      [first.address, second.address].sort(),
    );
    const several = await client.rmtx(['ping']);
    assert.equal(several.code, 1);
    assert.match(several.stderr, /several hosts[^]*hint: .*--host/);
    const table = (await client.rmtx(['hosts', 'list', '--timeout', '20s'])).text;
    assert.match(table, /^NAME +STATE +ADDRESS +CPU +CPUS +LOAD +RUNS +RTT +LAST SEEN\n/);
    assert.equal(table.trimEnd().split('\n').length, 3);
    assert.match(table, /^box-2 +up +\S+ +\d+% +\d+ +\S+ +0 +\S+ms +now$/m);

    const forgotten = await client.rmtx(['hosts', 'forget', 'box-2']);
    assert.match(forgotten.text, new RegExp(`^forgotten\tbox-2\t${FINGERPRINT}\n$`));
    assert.equal((await client.rmtx(['hosts', 'forget', 'box-2'])).code, 1);
    assert.equal((await client.rmtx(['ping', '--host', second.address])).code, 1);
    assert.equal((await client.rmtx(['ping'])).code, 0);
  });
});

interface ListedHost {
  readonly name: string;
  readonly state: string;
  readonly error: { readonly code: string } | null;
  readonly rtt_ms: number | null;
  readonly cpu_used_percent: number | null;
  readonly active_runs: number | null;
}

/** Of the 10 seconds that a dial is given elsewhere enough is left. */
const WAIT = ['--timeout', '4s'];
const PROMPT_MS = 9000;

test('hosts says who is up and why not, and waits for nobody longer than it was told', async () => {
  await using rig = new Rig();
  const client = rig.client();
  const names = ['up', 'off', 'silent', 'moved', 'revoked'] as const;
  const started = await Promise.all(names.map((name) => rig.host({ name })));
  for (const host of started) client.befriend(host);
  const [up, off, silent, moved, revoked] = started;
  assert.ok(up && off && silent && moved && revoked);
  await Promise.all([off.stop(), silent.stop(), moved.stop()]);
  const [{ id } = { id: '' }] = json(await revoked.admin('clients', 'list', '--json'))[
    'clients'
  ] as { id: string }[];
  assert.equal((await revoked.admin('clients', 'revoke', id)).code, 0);
  // Accepts, and never says a word: as a machine does whose rmtx host hangs.
  const sockets: net.Socket[] = [];
  await using _hole = await listening(
    net.createServer((socket) => sockets.push(socket)),
    silent.port,
  );
  await rig.host({ name: 'stranger', args: ['--listen', moved.address] });
  const project = client.project({}, { host: up });
  const run = await project.exec(['sleep', '600'], { flags: ['--detach'] });
  assert.equal(run.code, 0, run.stderr);

  const from = performance.now();
  const document = json(await client.rmtx(['hosts', '--json', ...WAIT]));
  const took = performance.now() - from;
  assert.ok(took < PROMPT_MS, `${took} ms`);
  assert.equal(sockets.length > 0, true, 'the silent one was asked');
  const hosts = document['hosts'] as ListedHost[];
  assert.deepEqual(
    hosts.map(({ name, state, error }) => [name, state, error?.code]),
    [
      ['moved', 'other', 'ERR_RMTX_FINGERPRINT_MISMATCH'],
      ['off', 'down', 'ERR_RMTX_HOST_UNREACHABLE'],
      ['revoked', 'refused', 'ERR_RMTX_NOT_PAIRED'],
      ['silent', 'down', 'ERR_RMTX_TIMED_OUT'],
      ['up', 'up', undefined],
    ],
  );
  const [busy] = hosts.filter(({ name }) => name === 'up');
  assert.equal(busy?.active_runs, 1);
  assert.ok(busy.rtt_ms !== null && busy.rtt_ms > 0 && busy.cpu_used_percent !== null);
  assert.equal(hosts[0]?.rtt_ms, null);

  const table = (await client.rmtx(['hosts'])).text;
  assert.match(table, /^off +down \(no rmtx host there\) /m);
  assert.match(table, /^silent +down \(no answer\) /m);
  assert.match(table, /^revoked +refused \(not paired\) /m);
  assert.match(table, /^moved +other \(another key\) /m);
  assert.equal((await client.rmtx(['hosts', '--timeout', '0s'])).code, 2);
});

/** Listens on a port of loopback until it is disposed of, with whoever came. */
async function listening(server: net.Server, port: number): Promise<AsyncDisposable> {
  const sockets: net.Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

test('the name of a host moves no cursor', async () => {
  await using rig = new Rig();
  const host = await rig.host({ name: 'a\u001b[31mb\tc' });
  const client = rig.client();
  await client.pair(host);
  for (const args of [['ping'], ['hosts'], ['hosts', '--json']]) {
    const { code, text } = await client.rmtx(args);
    assert.equal(code, 0);
    assert.doesNotMatch(text, /\u001b/);
    if (args[0] === 'ping') assert.equal(text.split('\t').length, 4, text);
  }
});
