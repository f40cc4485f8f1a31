import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Rig } from '../support/rig.js';
import type { Result, RigClient, RigHost, RigProject } from '../support/rig.js';

const ISO_TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
const FINGERPRINT = 'sha256:[0-9a-f]{64}';
const NO_SUCH_ID = 'no-such-context';

function json(result: Result): Record<string, unknown> {
  assert.equal(result.code, 0, result.stderr);
  return JSON.parse(result.text) as Record<string, unknown>;
}

/** The one object on stderr that `--json` turns every failure into. */
function jsonError(result: Result): { code: string; message: string; hint?: string } {
  assert.equal(result.text, '');
  const lines = result.stderr.trimEnd().split('\n');
  assert.equal(lines.length, 1, result.stderr);
  return (JSON.parse(lines[0] ?? '') as { error: { code: string; message: string; hint?: string } })
    .error;
}

interface Context {
  readonly id: string;
  readonly name: string;
  readonly updated_at: string;
  readonly active: boolean;
  readonly size_bytes: number;
  readonly workspace: string;
}

async function contexts(client: RigClient, host: RigHost): Promise<Context[]> {
  const result = await client.rmtx(['context', 'list', '--host', host.address, '--json']);
  return json(result)['contexts'] as Context[];
}

async function ran(project: RigProject, script = 'true'): Promise<void> {
  const result = await project.sh(script);
  assert.equal(result.code, 0, result.stderr);
}

describe('contexts', () => {
  test('are listed in columns and in JSON, deleted by id and by place', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = await rig.pairedClient(host);
    const list = (...flags: string[]): Promise<Result> =>
      client.rmtx(['context', 'list', '--host', host.address, ...flags]);
    assert.equal((await list()).text, 'ID  NAME  UPDATED  ACTIVE  SIZE  WORKSPACE\n');
    assert.deepEqual(json(await list('--json')), { contexts: [] });

    const one = client.project(
      { f: 'x'.repeat(2000) },
      { host, config: { context: { name: 'One' } } },
    );
    const two = client.project({}, { host, config: { context: { name: 'Two' } } });
    await ran(one);
    await ran(two);
    const [newest, oldest, ...rest] = await contexts(client, host);
    assert.ok(newest !== undefined && oldest !== undefined && rest.length === 0);
    assert.deepEqual([newest.name, oldest.name], ['Two', 'One']);
    assert.match(oldest.updated_at, new RegExp(`^${ISO_TIME}$`));
    assert.equal(oldest.active, false);
    assert.ok(oldest.size_bytes >= 2000);
    assert.ok(oldest.workspace.startsWith(path.join(host.stateDirectory, 'workspaces')));

    const [header = '', first = ''] = (await list()).text.split('\n');
    assert.match(header, /^ID +NAME +UPDATED +ACTIVE +SIZE +WORKSPACE$/);
    assert.match(first, new RegExp(`^${newest.id} +Two +${ISO_TIME} +no +\\d+k?B +/`));

    const byId = await client.rmtx(['context', 'delete', oldest.id, '--host', host.address]);
    assert.deepEqual([byId.code, byId.text], [0, `deleted\t${oldest.id}\tOne\n`]);
    assert.equal(existsSync(oldest.workspace), false);
    const here = await client.rmtx(['context', 'delete', '--current'], { cwd: two.root });
    assert.deepEqual([here.code, here.text], [0, `deleted\t${newest.id}\tTwo\n`]);
    assert.deepEqual(readdirSync(path.join(host.stateDirectory, 'contexts')), []);
    assert.deepEqual(readdirSync(path.join(host.stateDirectory, 'workspaces')), []);
    const again = await client.rmtx(['context', 'delete', '--current'], { cwd: two.root });
    assert.deepEqual([again.code, again.text], [0, 'deleted\t0\n']);

    // What was deleted comes back with the next run.
    await ran(one, 'test "$(wc -c < f)" -eq 2000');
  });

  test('an id that does not exist fails, and the others are deleted all the same', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client, host } = project;
    await ran(project);
    const [context] = await contexts(client, host);
    assert.ok(context);
    const args = ['context', 'delete', NO_SUCH_ID, context.id, '--host', host.address];
    const result = await client.rmtx(args);
    assert.equal(result.code, 1);
    assert.equal(result.text, `deleted\t${context.id}\t${context.name}\n`);
    assert.match(
      result.stderr,
      /^rmtx: error: the host has no context no-such-context [^\n]*\nrmtx: hint: rmtx context list/,
    );
    const inJson = await client.rmtx([...args, '--json']);
    assert.equal(inJson.code, 1);
    assert.deepEqual(JSON.parse(inJson.text), { deleted: [], not_found: [NO_SUCH_ID, context.id] });
    assert.match(inJson.stderr, /^\{"error":\{"code":"ERR_RMTX_CONTEXT_NOT_FOUND".*\}\}\n$/);
  });

  test('another client neither sees nor deletes them', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client, host } = project;
    await ran(project);
    const [context] = await contexts(client, host);
    assert.ok(context);
    const other = await rig.pairedClient(host);
    assert.deepEqual(await contexts(other, host), []);
    const stolen = await other.rmtx(['context', 'delete', context.id, '--host', host.address]);
    assert.equal(stolen.code, 1);
    const pruned = await other.rmtx(['context', 'prune', '--all', '--host', host.address]);
    assert.deepEqual([pruned.code, pruned.text], [0, 'deleted\t0\n']);
    assert.equal((await contexts(client, host)).length, 1);
  });

  test('are pruned by age, or all of them; one in use is refused and stays', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = await rig.pairedClient(host);
    const idle = client.project({}, { host, config: { context: { name: 'idle' } } });
    const busy = client.project({}, { host, config: { context: { name: 'busy' } } });
    await ran(idle);
    const running = client.start(['exec', '--', 'sh', '-c', 'echo started; cat'], {
      cwd: busy.root,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await running.says(/started/);
    const [active] = (await contexts(client, host)).filter((context) => context.active);
    assert.equal(active?.name, 'busy');

    const refused = await client.rmtx(['context', 'delete', '--current', '--json'], {
      cwd: busy.root,
    });
    assert.equal(refused.code, 1);
    assert.equal(jsonError(refused).code, 'ERR_RMTX_CONTEXT_BUSY');

    const prune = (...flags: string[]): Promise<Result> =>
      client.rmtx(['context', 'prune', '--host', host.address, ...flags]);
    assert.equal((await prune('--older-than', '1h')).text, 'deleted\t0\n');
    assert.match((await prune('--older-than', '1ms')).text, /^deleted\tidle-[0-9a-f]{12}\tidle\n$/);
    await ran(idle);
    assert.match((await prune('--all')).text, /^deleted\tidle-[0-9a-f]{12}\tidle\n$/);
    for (const flags of [[], ['--all', '--older-than', '1h'], ['--older-than', 'soon']])
      assert.equal((await prune(...flags)).code, 2, flags.join(' '));

    running.child.stdin?.end('done');
    const ended = await running.ended;
    assert.deepEqual([ended.code, ended.text], [0, 'started\ndone'], ended.stderr);
    const all = json(await prune('--all', '--json'));
    assert.deepEqual(
      (all['deleted'] as { name: string }[]).map(({ name }) => name),
      ['busy'],
    );
  });
});

describe('cache prune', () => {
  test('frees what nothing needs on both sides; a dry run only says so', async () => {
    await using rig = new Rig();
    const project = await rig.project({ 'old.txt': 'old content' });
    const { client, host } = project;
    await ran(project, 'seq 1000 > made.txt');
    // Displaced from the workspace, so that it becomes a blob.
    project.write({ 'old.txt': 'new content' });
    await ran(project);
    const gone = client.project({}, { host });
    await ran(gone);
    rmSync(gone.root, { recursive: true });
    // What a transfer that was cut leaves.
    const [store = ''] = readdirSync(path.join(host.stateDirectory, 'blobs'));
    const partial = path.join(host.stateDirectory, 'blobs', store, 'partial');
    mkdirSync(partial, { recursive: true });
    writeFileSync(path.join(partial, 'ab'.repeat(32)), 'the first half');

    const prune = (...flags: string[]): Promise<Result> =>
      client.rmtx(['cache', 'prune', '--host', host.address, ...flags]);
    const planned = await prune('--dry-run');
    assert.equal(planned.code, 0, planned.stderr);
    const lines = planned.text.trimEnd().split('\n');
    const total = lines.pop() ?? '';
    assert.ok(lines.some((line) => line.startsWith(`would-delete\tproject\t${gone.root}\t`)));
    assert.ok(lines.some((line) => /^would-delete\tblob\tblake3:[0-9a-f]{64}\t\//.test(line)));
    assert.ok(lines.some((line) => line.startsWith(`would-delete\tpartial\t${'ab'.repeat(32)}\t`)));
    assert.match(total, new RegExp(`^would-delete\\t${lines.length}\\tbytes=\\d+$`));
    assert.equal((await prune('--dry-run')).text, planned.text);

    const done = json(await prune('--json'));
    assert.equal(done['dry_run'], false);
    for (const side of ['local', 'host'] as const) {
      const { deleted, bytes } = done[side] as { deleted: unknown[]; bytes: number };
      assert.ok(deleted.length > 0 && bytes > 0, side);
    }
    assert.equal((await prune()).text, 'deleted\t0\tbytes=0\n');
    assert.deepEqual(readdirSync(partial), []);
    await ran(project, 'grep -q new old.txt && test "$(wc -l < made.txt)" -eq 1000');
  });

  test('leaves alone what a run that goes on may need, and says so', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client } = project;
    const running = client.start(['exec', '--', 'sh', '-c', 'echo started; cat'], {
      cwd: project.root,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await running.says(/started/);
    const pruned = await client.rmtx(['cache', 'prune']);
    assert.deepEqual([pruned.code, pruned.text], [0, 'deleted\t0\tbytes=0\n']);
    assert.match(pruned.stderr, /^rmtx: a run is going on/);
    assert.equal((await client.rmtx(['cache', 'prune', '-q'])).stderr, '');
    running.child.stdin?.end();
    assert.equal((await running.ended).code, 0);
    assert.equal((await client.rmtx(['cache', 'prune'])).stderr, '');
  });

  test('says what was freed here also where the host cannot be reached', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client, host } = project;
    await ran(project);
    rmSync(project.root, { recursive: true });
    await host.stop();
    const result = await client.rmtx(['cache', 'prune']);
    assert.equal(result.code, 1);
    assert.match(result.text, new RegExp(`^deleted\tproject\t${project.root}\t`));
    assert.match(result.stderr, /^rmtx: error: cannot reach the host at /);
  });
});

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
    assert.match((await host.admin('status')).text, /^RUN +CLIENT +CONTEXT +STATE +STARTED\n/m);
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
