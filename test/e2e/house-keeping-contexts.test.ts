/** `rmtx context`: what the host keeps of the projects of a client. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { ISO_TIME, json, jsonError, ran } from '../support/house-keeping.js';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import type { Result, RigClient, RigHost } from '../support/rig.js';

const paired = new PairedRig();

const NO_SUCH_ID = 'no-such-context';

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

describe('contexts', () => {
  test('are listed in columns and in JSON, deleted by id and by place', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const client = rig.pairedClient(host);
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
    const project = paired.project();
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
    const project = paired.project();
    const { client, host } = project;
    await ran(project);
    const [context] = await contexts(client, host);
    assert.ok(context);
    const other = paired.rig.pairedClient(host);
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
    const client = rig.pairedClient(host);
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
