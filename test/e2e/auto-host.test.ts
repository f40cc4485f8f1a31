/** Several paired hosts: which one `exec` takes by name, and which with `--host auto`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Rig } from '../support/rig.js';
import type { RigClient, RigHost, RigProject } from '../support/rig.js';

interface Scene {
  readonly client: RigClient;
  readonly first: RigHost;
  readonly second: RigHost;
  /** Its config names no host. */
  readonly project: RigProject;
}

/** A client of two hosts, `one` and `two`. */
async function twoHosts(rig: Rig, config: object = {}): Promise<Scene> {
  const [first, second] = await Promise.all(['one', 'two'].map((name) => rig.host({ name })));
  assert.ok(first && second);
  const client = rig.pairedClient(first);
  client.befriend(second);
  const project = client.project(
    { 'a.txt': 'a' },
    { host: first, config: { host: undefined, ...config } },
  );
  return { client, first, second, project };
}

const AUTO = ['--host', 'auto', '-v'];

function takenHost(stderr: string): string | undefined {
  return /^rmtx: run \S+ on (\S+) /m.exec(stderr)?.[1];
}

describe('exec --host', () => {
  test('takes a name in any spelling, a fingerprint, an address, and says who there is', async () => {
    await using rig = new Rig();
    const { client, second, project } = await twoHosts(rig);
    const { text } = await client.rmtx(['hosts', '--json']);
    const { hosts } = JSON.parse(text) as { hosts: { name: string; fingerprint: string }[] };
    const { fingerprint } = hosts.find(({ name }) => name === 'two') ?? { fingerprint: '' };
    for (const spelling of ['two', 'TWO', fingerprint, fingerprint.toUpperCase(), second.address]) {
      const { code, stderr } = await project.exec(['true'], { flags: ['-v', '--host', spelling] });
      assert.equal(code, 0, `${spelling}: ${stderr}`);
      assert.equal(takenHost(stderr), 'two', spelling);
    }
    const none = await project.exec(['true']);
    assert.equal(none.code, 125);
    assert.match(none.stderr, /several hosts are paired[^]*hint: .*one of: one, two/);
  });
});

describe('exec --host auto', () => {
  test('takes the host that has the project, stays with it, and passes by one that is off', async () => {
    await using rig = new Rig();
    const { client, first, second, project } = await twoHosts(rig);
    const warming = await project.exec(['true'], { flags: ['--host', 'two'] });
    assert.equal(warming.code, 0, warming.stderr);
    const auto = await project.exec(['cat', 'a.txt'], { flags: AUTO });
    assert.deepEqual([auto.code, auto.text], [0, 'a'], auto.stderr);
    assert.match(auto.stderr, /^rmtx: one at \S+: up, cold, [\d.]+ of \d+ CPUs free, rtt \S+ms$/m);
    assert.match(auto.stderr, /^rmtx: two at \S+: up, warm, [\d.]+ of \d+ CPUs free, rtt \S+ms$/m);
    // Both measure the same busy machine, but not in the same moment.
    const gaveWay = auto.stderr.includes(
      'two has the files of this project, but is clearly busier',
    );
    const expected = gaveWay ? 'one' : 'two';
    assert.match(auto.stderr, new RegExp(`host chosen by: --host auto: ${expected}, because`));
    assert.equal(takenHost(auto.stderr), expected);
    // What was sent once need not be sent again, and other commands mean the same host.
    const ping = await client.rmtx(['ping', '--host', 'auto'], { cwd: project.root });
    assert.match(ping.text, new RegExp(`^online\t${expected}\t`), ping.stderr);

    await second.stop();
    const other = await project.exec(['true'], { flags: AUTO });
    assert.equal(other.code, 0, other.stderr);
    assert.match(other.stderr, /^rmtx: two at \S+: down \(cannot reach /m);
    assert.match(
      other.stderr,
      /host chosen by: --host auto: one, because the only one that is up$/m,
    );
    assert.equal(takenHost(other.stderr), 'one');

    await first.stop();
    const none = await project.exec(['true'], { flags: ['--host', 'auto', '--json'] });
    assert.equal(none.code, 125);
    const { error } = JSON.parse(none.stderr) as { error: { code: string; message: string } };
    assert.equal(error.code, 'ERR_RMTX_HOST_UNREACHABLE');
    for (const { address } of [first, second]) assert.ok(error.message.includes(address));
    assert.match(error.message, /one at .*ECONNREFUSED.*; two at .*ECONNREFUSED/);
  });

  test('is said in the config or by RMTX_HOST, too; a pinned key is the only candidate of a config', async () => {
    await using rig = new Rig();
    const { client, second, project } = await twoHosts(rig, { host: 'auto' });
    const byConfig = await project.exec(['true'], { flags: ['-v'] });
    assert.equal(byConfig.code, 0, byConfig.stderr);
    assert.match(byConfig.stderr, /host chosen by: host in the config, auto: (one|two), because/);
    const { text } = await client.rmtx(['ping', '--json', '--host', second.address]);
    const { fingerprint } = JSON.parse(text) as { fingerprint: string };
    const pinned = { host: 'auto', tls: { host_fingerprint: fingerprint } };
    project.write({ '.rmtx.json': JSON.stringify({ version: 1, ...pinned }) });
    const byPin = await project.exec(['true'], { flags: ['-v'] });
    assert.equal(takenHost(byPin.stderr), 'two', byPin.stderr);
    assert.doesNotMatch(byPin.stderr, /^rmtx: one at/m);
    const byVariable = await project.exec(['true'], { flags: ['-v'], env: { RMTX_HOST: 'AUTO' } });
    assert.match(byVariable.stderr, /host chosen by: RMTX_HOST, auto: (one|two), because/);
    assert.match(byVariable.stderr, /^rmtx: one at/m);
  });

  test('what it started is come back to without a word about the host', async () => {
    await using rig = new Rig();
    const { client, project } = await twoHosts(rig, { host: 'auto' });
    const script = 'echo out; echo made > made.txt';
    const started = await project.sh(script, { flags: ['--detach'] });
    assert.equal(started.code, 0, started.stderr);
    const id = started.text.trim();
    const attached = await client.rmtx(['attach', 'last'], { cwd: project.root });
    assert.deepEqual([attached.code, attached.text], [0, 'out\n'], attached.stderr);
    assert.ok(project.has('made.txt'), id);
  });

  test('no host is called auto', async () => {
    await using rig = new Rig();
    const host = await rig.host({ name: 'Auto' });
    const client = rig.client();
    await client.pair(host);
    const { text } = await client.rmtx(['ping']);
    assert.match(text, /^online\tAuto\t/);
    const { text: list } = await client.rmtx(['hosts', '--json']);
    const { hosts } = JSON.parse(list) as { hosts: { name: string }[] };
    assert.deepEqual(
      hosts.map(({ name }) => name),
      ['host-Auto'],
    );
  });
});
