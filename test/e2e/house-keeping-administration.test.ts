/** `rmtx host …`: what the owner of a host asks it, and what the owner changes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FINGERPRINT, ISO_TIME, json, jsonError, ran } from '../support/house-keeping.js';
import { Rig } from '../support/rig.js';
import type { RigHost } from '../support/rig.js';

interface ClientRecord {
  readonly id: string;
  readonly fingerprint: string;
  readonly label: string;
  readonly role: string;
  readonly last_seen: string | null;
}

async function clientsOf(host: RigHost): Promise<ClientRecord[]> {
  return json(await host.admin('clients', 'list', '--json'))['clients'] as ClientRecord[];
}

describe('host clients', () => {
  test('are listed, renamed and revoked, by id and by label, with the host running or not', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.client();
    const pair = async (label: string): Promise<void> => {
      const args = ['pair', '--host', host.address, '--code', await host.pairCode()];
      const result = await client.rmtx([...args, '--label', label]);
      assert.equal(result.code, 0, result.stderr);
    };
    assert.deepEqual(await clientsOf(host), []);
    await pair('laptop');
    const [listed, ...others] = await clientsOf(host);
    assert.ok(listed !== undefined && others.length === 0);
    assert.deepEqual([listed.label, listed.role], ['laptop', 'exec']);
    assert.match(listed.fingerprint, new RegExp(`^${FINGERPRINT}$`));
    assert.equal((await client.rmtx(['ping'])).code, 0);
    const [seen] = await clientsOf(host);
    assert.match(seen?.last_seen ?? '', new RegExp(`^${ISO_TIME}$`));
    const table = (await host.admin('clients')).text;
    assert.match(table, /^ID +LABEL +ROLE +PAIRED +LAST SEEN +FINGERPRINT\n/);
    assert.match(
      table,
      new RegExp(`\n${listed.id} +laptop +exec +${ISO_TIME} +${ISO_TIME} +sha256:`),
    );

    const renamed = await host.admin('clients', 'rename', 'laptop', 'old laptop');
    assert.equal(renamed.text, `renamed\t${listed.id}\told laptop\n`, renamed.stderr);
    const long = await host.admin('clients', 'rename', listed.id, 'x'.repeat(300));
    assert.equal(long.text, `renamed\t${listed.id}\t${'x'.repeat(64)}\n`, long.stderr);
    assert.equal((await host.admin('clients', 'rename', listed.id, 'old laptop')).code, 0);
    const unknown = await host.admin('clients', 'revoke', 'nobody', '--json');
    assert.equal(unknown.code, 1);
    assert.equal(jsonError(unknown).code, 'ERR_RMTX_CLIENT_NOT_FOUND');
    const revoked = await host.admin('clients', 'revoke', 'old laptop');
    assert.equal(revoked.text, `revoked\t${listed.id}\told laptop\n`, revoked.stderr);
    assert.deepEqual(await clientsOf(host), []);
    const out = await client.rmtx(['ping']);
    assert.equal(out.code, 1);
    assert.match(out.stderr, /does not know this client/);

    await pair('again');
    await host.stop();
    assert.equal((await clientsOf(host))[0]?.label, 'again');
    assert.equal((await host.admin('clients', 'rename', listed.id, 'b')).code, 0);
    assert.equal((await host.admin('clients', 'revoke', 'b', '--json')).code, 0);
    assert.deepEqual(await clientsOf(host), []);
  });
});

describe('host status', () => {
  test('tells a running host from a stopped one', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { host } = project;
    await ran(project);
    const short = await host.admin('status');
    assert.match(short.text, /^running +yes, for /m);
    assert.match(short.text, new RegExp(`^address +${host.address}$`, 'm'));
    assert.match(short.text, new RegExp(`^identity +${FINGERPRINT}$`, 'm'));
    assert.match(short.text, /^contexts +1$/m);
    assert.doesNotMatch(short.text, /^environment/m);
    const all = await host.admin('status', '-v');
    assert.match(all.text, /^processes +\S/m);
    assert.match(all.text, /^environment\n(?: {2}\S+ .*\n)* {2}PATH +\//m);

    const running = project.client.start(['exec', '--', 'sh', '-c', 'echo started; cat'], {
      cwd: project.root,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await running.says(/started/);
    const live = json(await host.admin('status', '--json'));
    assert.equal(live['running'], true);
    assert.deepEqual(live['addresses'], [host.address]);
    assert.equal(live['pid'], host.running.child.pid);
    assert.equal(live['clients'], 1);
    const [run] = live['runs'] as { id: string; state: string; started_at: string }[];
    assert.match(run?.id ?? '', /^r[0-9a-z]{16}$/);
    assert.equal(run?.state, 'running');
    assert.match(
      (await host.admin('status')).text,
      /^RUN +CLIENT +STATE +AGE +COMMAND +CONTEXT\n.* running .* sh -c echo started; cat +\S+$/m,
    );
    running.child.stdin?.end();
    assert.equal((await running.ended).code, 0);

    await host.stop();
    const stopped = await host.admin('status');
    assert.deepEqual([stopped.code, stopped.stderr], [0, '']);
    assert.match(stopped.text, /^running +no$/m);
    const document = json(await host.admin('status', '--json'));
    assert.deepEqual(Object.keys(document), Object.keys(live));
    assert.equal(document['running'], false);
    assert.equal(document['fingerprint'], live['fingerprint']);
    assert.equal(document['contexts'], 1);
  });
});

describe('host pair-code', () => {
  const LINE = new RegExp(
    `^code=\\d{8} host=\\S+ fingerprint=${FINGERPRINT} expires=(${ISO_TIME})\n$`,
  );

  test('prints one line that expires when it says', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const line = await host.admin('pair-code');
    assert.equal(line.stderr, '');
    const expires = Date.parse(LINE.exec(line.text)?.[1] ?? '');
    assert.ok(Math.abs(expires - Date.now() - 300_000) < 20_000, line.text);
    const document = json(await host.admin('pair-code', '--json', '--ttl', '1h'));
    assert.deepEqual(Object.keys(document), ['code', 'host', 'fingerprint', 'expires']);
    assert.equal(document['host'], 'box');
    const inMs = Date.parse(String(document['expires'])) - Date.now();
    assert.ok(Math.abs(inMs - 3_600_000) < 20_000);
  });

  test('a window opened while no host runs is there at the next start, with its label', async () => {
    await using rig = new Rig();
    const first = await rig.host();
    const { stateDirectory } = first;
    await first.stop();
    const left = await first.admin('pair-code', '--label', 'from the owner');
    assert.match(left.text, LINE);
    assert.match(
      left.stderr,
      /^rmtx: no host runs here: start it with rmtx host before the code expires\n$/,
    );
    const code = /code=(\d+)/.exec(left.text)?.[1] ?? '';
    const host = await rig.host({ stateDirectory });
    const client = rig.client();
    const paired = await client.rmtx([
      'pair',
      '--host',
      host.address,
      '--code',
      code,
      '--label',
      'own',
    ]);
    assert.match(
      paired.text,
      new RegExp(`^paired\tbox\t${host.address}\t${FINGERPRINT}\n$`),
      paired.stderr,
    );
    assert.equal((await clientsOf(host))[0]?.label, 'from the owner');
    const twice = await rig.client().rmtx(['pair', '--host', host.address, '--code', code]);
    assert.equal(twice.code, 1, 'a code counts once');
  });

  test('refuses a life of nothing or of more than a day, in the same words with a host and without', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const refusals = async (): Promise<string[]> => {
      const said: string[] = [];
      for (const ttl of ['0s', '25h']) {
        const result = await host.admin('pair-code', '--ttl', ttl);
        assert.equal(result.code, 2, result.text);
        said.push(result.stderr);
      }
      return said;
    };
    const running = await refusals();
    await host.stop();
    assert.deepEqual(await refusals(), running);
    assert.match(running[0] ?? '', /^rmtx: error: .*24 hours/);
  });

  test('a code with a typing error is refused before anything is dialled', async () => {
    await using rig = new Rig();
    const result = await rig.client().rmtx(['pair', '--host', '127.0.0.1:1', '--code', '12345678']);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /typing error/);
  });
});
