import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Gate } from '../support/gate.js';
import { Rig } from '../support/rig.js';
import type { RigClient, RigHost, RigProject } from '../support/rig.js';

/** What a power cut, a bad disk or an editor leaves of a file. */
const damages: readonly [string, (file: string) => void][] = [
  ['empty', (file) => truncateSync(file, 0)],
  ['cut', (file) => truncateSync(file, Math.floor(lstatSync(file).size / 2))],
  ['overwritten', (file) => writeFileSync(file, 'x'.repeat(lstatSync(file).size))],
];

/** The one file in a directory that matches. */
function fileIn(directory: string, name: RegExp): string {
  const [found, ...others] = readdirSync(directory).filter((each) => name.test(each));
  assert.ok(found !== undefined && others.length === 0, `${directory}: ${String(name)}`);
  return path.join(directory, found);
}

async function runs(project: RigProject, flags: readonly string[] = []): Promise<void> {
  const result = await project.exec(['cat', 'file'], { flags });
  assert.deepEqual([result.code, result.text, result.stderr], [0, 'content', '']);
}

async function twoProjects(rig: Rig): Promise<{
  host: RigHost;
  client: RigClient;
  hurt: RigProject;
  other: RigProject;
}> {
  const host = await rig.host();
  const client = rig.pairedClient(host);
  const config = (name: string): object => ({ context: { name } });
  const hurt = client.project({ file: 'content' }, { host, config: config('hurt') });
  const other = client.project({ file: 'content' }, { host, config: config('other') });
  for (const project of [hurt, other]) await runs(project);
  return { host, client, hurt, other };
}

describe('a damaged file of the host', () => {
  test('context, index of a workspace, record of a run: the rest goes on, and so does it', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const project = (name: string): RigProject =>
      client.project({ file: 'content' }, { host, config: { context: { name } } });
    const list = async (): Promise<string> => {
      const { code, text, stderr } = await client.rmtx(['context', 'list', '--host', host.address]);
      assert.equal(code, 0, stderr);
      return text;
    };
    const projects = [project('other')];
    await runs(projects[0]!);
    for (const [how, damage] of damages) {
      const hurt = project(how);
      await runs(hurt);
      const context = fileIn(path.join(host.stateDirectory, 'contexts'), new RegExp(`^${how}-`));
      damage(path.join(context, 'context.json'));
      assert.match(await list(), /^other-/m);
      await runs(projects[0]!);
      const said = new RegExp(`context ${how}-\\S+: .*context\\.json is damaged; it is set aside`);
      assert.match((await host.running.says(said))[0], said);
      await runs(hurt);
      assert.match(await list(), new RegExp(`^${how}-`, 'm'));

      damage(path.join(context, 'slots', '0', 'index'));
      await runs(hurt);
      await runs(hurt);
      projects.push(hurt);
    }

    await host.stop();
    for (const [index, [, damage]] of damages.entries()) {
      const id = `r000000000000000${index}`;
      const record = path.join(host.stateDirectory, 'runs', id);
      mkdirSync(record);
      const fields = { id, state: 'running', client_id: 'x', context_id: 'y' };
      writeFileSync(path.join(record, 'record.json'), JSON.stringify(fields));
      damage(path.join(record, 'record.json'));
    }
    const again = await rig.host({ stateDirectory: host.stateDirectory });
    for (const index of damages.keys())
      assert.match(again.running.stderr, new RegExp(`run r0{15}${index}: its record is damaged`));
    for (const each of projects) await runs(each, ['--host', again.address]);
  });

  test('who is trusted: only that client is out, and can pair again', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const records = path.join(host.stateDirectory, 'clients');
    const hurt = rig.pairedClient(host);
    const id = path.basename(fileIn(records, /\.json$/), '.json');
    const other = rig.pairedClient(host);
    for (const [count, [how, damage]] of damages.entries()) {
      damage(path.join(records, `${id}.json`));
      const refused = await hurt.rmtx(['ping', '--host', host.address]);
      assert.equal(refused.code, 1, how);
      assert.match(refused.stderr, /does not know this client[^]*hint: .*rmtx pair/);
      await host.running.says(new RegExp(`(?:clients/${id}\\.json.* set aside[^]*){${count + 1}}`));
      assert.equal((await other.rmtx(['ping', '--host', host.address])).code, 0);
      const { clients } = JSON.parse((await host.admin('clients', '--json')).text) as {
        clients: { id: string }[];
      };
      assert.ok(clients.length === 1 && clients[0]?.id !== id);
      await hurt.pair(host);
    }
  });

  test('its key: it does not start, says which file, and leaves it alone', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    await host.stop();
    const key = path.join(host.stateDirectory, 'identity', 'key.pem');
    const good = readFileSync(key);
    for (const [how, damage] of damages) {
      writeFileSync(key, good);
      damage(key);
      const bytes = readFileSync(key);
      await assert.rejects(
        rig.host({ stateDirectory: host.stateDirectory }),
        /rmtx: error: .*key\.pem/,
      );
      const status = await host.admin('status', '--json');
      assert.equal(status.code, 1, how);
      assert.match(status.stderr, /"ERR_RMTX_STATE_CORRUPT".*key\.pem.*"hint"/);
      assert.deepEqual(readFileSync(key), bytes);
    }
  });

  test('its certificate: it says which file to remove, and makes it anew over the same key', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const { stateDirectory } = host;
    const certificate = path.join(stateDirectory, 'identity', 'cert.pem');
    let current = host;
    for (const [how, damage] of damages) {
      await current.stop();
      damage(certificate);
      await assert.rejects(rig.host({ stateDirectory }), /cert\.pem .*\nrmtx: hint: remove it/);
      rmSync(certificate);
      current = await rig.host({ stateDirectory });
      assert.equal((await client.rmtx(['ping', '--host', current.address])).code, 0, how);
    }
  });

  test('a window left for the next start: it is dropped, and a new one opens', async () => {
    await using rig = new Rig();
    const first = await rig.host();
    const { stateDirectory } = first;
    await first.stop();
    const pending = path.join(stateDirectory, 'pending-window.json');
    const code = await first.pairCode();
    writeFileSync(pending, '{"version":1}');
    const host = await rig.host({ stateDirectory });
    const client = rig.client();
    const refused = await client.rmtx(['pair', '--host', host.address, '--code', code]);
    assert.equal(refused.code, 1);
    assert.match(host.running.stderr, /pairing window .* is dropped: .*pending-window\.json/);
    assert.equal(existsSync(pending), false);
    const fresh = ['pair', '--host', host.address, '--code', await host.pairCode()];
    assert.equal((await client.rmtx(fresh)).code, 0);
  });
});

describe('a damaged file of the client', () => {
  test('what it remembers of a project: the next run is slower and nothing else', async () => {
    await using rig = new Rig();
    const { client, hurt, other } = await twoProjects(rig);
    const projects = path.join(client.home, '.rmtx', 'projects');
    const directory = readdirSync(projects)
      .map((name) => path.join(projects, name))
      .find((each) => readFileSync(path.join(each, 'root'), 'utf8') === hurt.root);
    assert.ok(directory);
    // A conflict makes the host's idea of the project differ from the local one: `base-…`.
    const conflicting = client.start(
      ['exec', '--', 'sh', '-c', 'echo theirs > new; echo ready; cat'],
      {
        cwd: hurt.root,
        stdio: ['pipe', 'pipe', 'pipe'],
      },
    );
    await conflicting.says(/ready/);
    hurt.write({ new: 'mine' });
    conflicting.child.stdin?.end();
    assert.equal((await conflicting.ended).code, 122);
    const files = readdirSync(directory);
    for (const name of [/^index$/, /^rules\.json$/, /^base-/, /^root$/])
      for (const [, damage] of damages) {
        const file = files.find((each) => name.test(each));
        assert.ok(file, `${String(name)} in ${files.join(' ')}`);
        if (existsSync(path.join(directory, file))) damage(path.join(directory, file));
        await runs(hurt);
        assert.equal(readFileSync(hurt.path('new'), 'utf8'), 'mine');
      }
    await runs(other);
  });

  test('the record of a host: it says so, and how to go on', async () => {
    await using rig = new Rig();
    const project = await rig.project({ file: 'content' });
    const { client, host } = project;
    const record = fileIn(path.join(client.home, '.rmtx', 'hosts'), /\.json$/);
    const second = await rig.host();
    client.befriend(second);
    for (const [how, damage] of damages) {
      damage(record);
      const result = await project.exec(['true']);
      assert.equal(result.code, 125, how);
      assert.match(result.stderr, /^rmtx: warning: .*hosts\/[0-9a-f]{16}\.json.* set aside/m);
      assert.match(result.stderr, /^rmtx: error: .*not the paired host/m);
      assert.equal((await client.rmtx(['ping', '--host', second.address])).code, 0);
      await client.pair(host);
      await runs(project);
    }
  });

  test('its key: it says which file, and never makes another', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    for (const [how, damage] of damages) {
      const client = rig.pairedClient(host);
      const project = client.project({}, { host });
      const key = path.join(client.home, '.rmtx', 'identity', 'key.pem');
      damage(key);
      const bytes = readFileSync(key);
      for (const args of [
        ['exec', '--', 'true'],
        ['ping'],
        ['pair', '--host', host.address, '--code', await host.pairCode()],
      ]) {
        const result = await client.rmtx(args, { cwd: project.root });
        assert.equal(result.code, args[0] === 'exec' ? 125 : 1, how);
        assert.match(result.stderr, /^rmtx: error: .*key\.pem[^]*hint: /m);
      }
      assert.deepEqual(readFileSync(key), bytes);
    }
  });
});

/** Paths below `root` that others than their owner could open. */
function openToOthers(root: string, isExcepted: (file: string) => boolean): string[] {
  return readdirSync(root, { recursive: true })
    .map((name) => path.join(root, String(name)))
    .filter((file) => !isExcepted(file))
    .filter((file) => (lstatSync(file).mode & 0o077) !== 0);
}

test('a host goes on where the directory is removed that it was started in', async () => {
  await using rig = new Rig();
  const place = rig.newDirectory('place');
  const host = await rig.host({
    wrap: ['sh', '-c', 'cd "$0" && exec "$@"', place],
    stateDirectory: rig.newDirectory('state'),
  });
  const first = rig.pairedClient(host).project({}, { host });
  const second = first.client.project({}, { host });
  rmdirSync(place);
  await using gate = await Gate.in(rig.directory);
  const running = first.client.start(['exec', '--', 'sh', '-c', gate.command], { cwd: first.root });
  await gate.arrived(running);
  // Two at once need more threads than the host has started ahead.
  const { code, text, stderr } = await second.exec(['echo', 'too']);
  assert.deepEqual([code, text], [0, 'too\n'], stderr);
  gate.open();
  assert.equal((await running.ended).code, 0);
});

test('everything that either side keeps is for its owner alone, whatever the umask', async () => {
  await using rig = new Rig();
  const wrap = ['sh', '-c', 'umask 000; exec "$0" "$@"'];
  const host = await rig.host({ wrap });
  // Its content has the modes of the project; nobody else gets that far.
  const isInWorkspace = (file: string): boolean =>
    file.startsWith(path.join(host.stateDirectory, 'workspaces', path.sep)) &&
    path.relative(path.join(host.stateDirectory, 'workspaces'), file).split(path.sep).length > 1;
  const client = rig.client();
  const rmtx = (args: readonly string[], cwd?: string): Promise<{ code: number | null }> =>
    client.start(args, { wrap, ...(cwd === undefined ? {} : { cwd }) }).ended;
  const pair = ['pair', '--host', host.address, '--code', await host.pairCode()];
  assert.equal((await rmtx(pair)).code, 0);
  const project = client.project({ a: 'one', big: Buffer.alloc(6_000_000) }, { host });
  const script = 'echo two > a; head -c 6000000 /dev/urandom > big; echo started; cat';
  const running = client.start(['exec', '--', 'sh', '-c', script], {
    cwd: project.root,
    wrap,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  await running.says(/started/);
  const home = path.join(client.home, '.rmtx');
  const check = (): void => {
    assert.equal(lstatSync(host.stateDirectory).mode & 0o777, 0o700);
    assert.equal(lstatSync(home).mode & 0o777, 0o700);
    assert.deepEqual(openToOthers(host.stateDirectory, isInWorkspace), []);
    assert.deepEqual(
      openToOthers(home, () => false),
      [],
    );
  };
  check();
  running.child.stdin?.end();
  assert.equal((await running.ended).code, 0, running.stderr);
  assert.equal((await rmtx(['exec', '--', 'sh', '-c', 'rm big'], project.root)).code, 0);
  await host.admin('pair-code');
  check();
  await host.stop();
  await host.admin('pair-code');
  check();
});
