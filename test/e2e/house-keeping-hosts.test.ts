/** `rmtx ping` and `rmtx hosts`: whom a client is paired with, and who of them answers. */
import assert from 'node:assert/strict';
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
    const client = await rig.pairedClient(host);
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

  test('hosts lists whom this client is paired with, and forgets', async () => {
    await using rig = new Rig();
    const [first, second] = [await rig.host(), await rig.host()];
    const client = await rig.pairedClient(first);
    const code = await second.pairCode();
    assert.equal((await client.rmtx(['pair', '--host', second.address, '--code', code])).code, 0);
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
    const table = (await client.rmtx(['hosts', 'list'])).text;
    assert.match(table, /^NAME +ADDRESS +PAIRED +LAST SEEN +FINGERPRINT\n/);
    assert.equal(table.trimEnd().split('\n').length, 3);

    const forgotten = await client.rmtx(['hosts', 'forget', 'box-2']);
    assert.match(forgotten.text, new RegExp(`^forgotten\tbox-2\t${FINGERPRINT}\n$`));
    assert.equal((await client.rmtx(['hosts', 'forget', 'box-2'])).code, 1);
    assert.equal((await client.rmtx(['ping', '--host', second.address])).code, 1);
    assert.equal((await client.rmtx(['ping'])).code, 0);
  });
});

test('the name of a host moves no cursor', async () => {
  await using rig = new Rig();
  const host = await rig.host({ args: ['--name', 'a\u001b[31mb\tc'] });
  const client = await rig.pairedClient(host);
  for (const args of [['ping'], ['hosts'], ['hosts', '--json']]) {
    const { code, text } = await client.rmtx(args);
    assert.equal(code, 0);
    assert.doesNotMatch(text, /\u001b/);
    if (args[0] === 'ping') assert.equal(text.split('\t').length, 4, text);
  }
});
