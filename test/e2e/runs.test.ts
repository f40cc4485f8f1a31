import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { Gate } from '../support/gate.js';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import type { Result, RigProject } from '../support/rig.js';

const paired = new PairedRig();

const isLong = process.env['RMTX_LONG_TESTS'] === '1';

interface ListedRun {
  readonly id: string;
  readonly state: string;
  readonly label: string;
  readonly command: readonly string[];
  readonly context: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly exit_code: number | null;
  readonly outcome: unknown;
}

function rmtx(project: RigProject, ...args: readonly string[]): Promise<Result> {
  return project.client.rmtx(args, { cwd: project.root });
}

async function runsOf(project: RigProject, ...flags: readonly string[]): Promise<ListedRun[]> {
  const result = await rmtx(project, 'runs', '--json', ...flags);
  assert.equal(result.code, 0, result.stderr);
  return (JSON.parse(result.text) as { runs: ListedRun[] }).runs;
}

async function detach(
  project: RigProject,
  script: string,
  ...flags: readonly string[]
): Promise<string> {
  const result = await project.sh(script, { flags: ['-d', ...flags] });
  assert.equal(result.code, 0, result.stderr);
  return result.text.trim();
}

describe('runs', () => {
  test('lists what goes on, what waits and what was, the newest first', async () => {
    const project = paired.project({}, { context: { name: 'here' } });
    await using gate = await Gate.in(paired.rig.directory);
    assert.deepEqual(await runsOf(project), []);
    assert.equal((await project.sh('exit 3', { flags: ['--label', 'first'] })).code, 3);
    const runId = await detach(project, `${gate.command}; echo x > made`, '--label', 'second');
    const [going, over, ...others] = await runsOf(project);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [going?.id, going?.state, going?.label, going?.context, going?.exit_code, going?.outcome],
      [runId, 'running', 'second', 'here', null, null],
    );
    assert.deepEqual(going?.command.slice(0, 2), ['sh', '-c']);
    assert.equal(going?.ended_at, null);
    assert.deepEqual(
      [over?.state, over?.label, over?.exit_code, over?.outcome],
      ['done', 'first', 3, { kind: 'exited', code: 3 }],
    );
    const table = await rmtx(project, 'runs');
    const [head = '', ...rows] = table.text.trim().split('\n');
    assert.match(head, /^ID +STATE +AGE +EXIT +COMMAND +CONTEXT +LABEL$/);
    assert.equal(rows.length, 2);
    assert.match(
      rows[0] ?? '',
      new RegExp(`^${runId} +running +\\d+s +- +sh -c .* +here +second$`),
    );
    gate.open();
  });

  test('of another client are neither listed nor found', async () => {
    const project = paired.project();
    const runId = await detach(project, 'echo secret; sleep 30');
    const stranger = paired.rig.pairedClient(project.host);
    const theirs = stranger.project({}, { host: project.host });
    assert.deepEqual(await runsOf(theirs, '--all'), []);
    for (const command of ['logs', 'attach', 'cancel']) {
      const result = await rmtx(theirs, command, runId);
      assert.equal(result.code, command === 'attach' ? 125 : 1);
      assert.match(result.stderr, /^rmtx: error: the host has no run/m);
      assert.equal(result.text, '');
    }
    assert.equal((await rmtx(project, 'cancel', '--force', runId)).code, 0);
  });
});

describe('logs', () => {
  test('prints each stream to its own, from a byte on, and changes nothing', async () => {
    const project = paired.project();
    const runId = await detach(project, 'echo 0123456789; echo abcdefghij >&2; echo x > made');
    const followed = await rmtx(project, 'logs', '-f', runId);
    assert.deepEqual(
      [followed.code, followed.text, followed.stderr],
      [0, '0123456789\n', 'abcdefghij\n'],
    );
    const part = await rmtx(project, 'logs', '--since-byte', '5', runId.slice(0, 12));
    assert.deepEqual([part.code, part.text, part.stderr], [0, '56789\n', 'fghij\n']);
    const json = await rmtx(project, 'logs', '--json', 'last');
    const [line = ''] = json.text.split('\n').filter((each) => each.includes('stdout'));
    assert.deepEqual(JSON.parse(line), {
      type: 'output',
      stream: 'stdout',
      offset: 0,
      data_b64: Buffer.from('0123456789\n').toString('base64'),
    });
    assert.equal((await runsOf(project))[0]?.state, 'waiting');
    assert.equal((await rmtx(project, 'logs', '--since-byte', 'x', runId)).code, 2);
  });

  test('without -f ends with what there is; with it, follows through a lost connection', async () => {
    const project = paired.project();
    await using gate = await Gate.in(paired.rig.directory);
    await using proxy = await CuttingProxy.to(project.host.port);
    const runId = await detach(project, `echo before; ${gate.command}; echo after`);
    const follower = project.client.start(['logs', '-f', runId, '--host', proxy.address], {
      cwd: project.root,
    });
    await follower.says(/before/);
    const now = await rmtx(project, 'logs', runId);
    assert.deepEqual([now.code, now.text], [0, 'before\n'], now.stderr);
    proxy.cut();
    await proxy.hasLetIn(2);
    gate.open();
    const result = await follower.ended;
    assert.deepEqual([result.code, result.text, result.stderr], [0, 'before\nafter\n', '']);
  });
});

test('last is the newest run of the project that one is in, and elsewhere of all', async () => {
  const here = paired.project();
  const there = here.client.project({}, { host: here.host });
  const none = here.client.project({}, { host: here.host });
  const first = await detach(here, 'echo first');
  const second = await detach(there, 'echo second');
  for (const [project, runId] of [
    [here, first],
    [there, second],
  ] as const) {
    const logs = await rmtx(project, 'logs', '-f', '--json', 'last');
    assert.match(logs.text, /data_b64/, logs.stderr);
    const cancelled = await rmtx(project, 'cancel', '--json', 'last');
    assert.equal((JSON.parse(cancelled.text) as { run: ListedRun }).run.id, runId);
  }
  const outside = await here.client.rmtx(['logs', '-f', 'last', '--host', here.host.address]);
  assert.deepEqual([outside.code, outside.text], [0, 'second\n'], outside.stderr);
  const never = await rmtx(none, 'cancel', 'last');
  assert.equal(never.code, 1);
  assert.match(never.stderr, /^rmtx: error: the host has no runs of this project\nrmtx: hint: /);
});

test(
  'what a command made lies in the workspace for ten seconds when nobody is there, then only in the store',
  { skip: isLong ? false : 'takes 11 s: RMTX_LONG_TESTS=1' },
  async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const leftAt = performance.now();
    const runId = await detach(project, 'echo x > made');
    await rmtx(project, 'logs', '-f', runId);
    const workspaces = path.join(project.host.stateDirectory, 'workspaces');
    const isThere = (name: string): boolean =>
      readdirSync(workspaces, { recursive: true }).some(
        (each) => path.basename(String(each)) === name,
      );
    assert.equal(isThere('made'), true);
    while (isThere('made')) await delay(50);
    const waitedMs = performance.now() - leftAt;
    assert.ok(waitedMs > 9_500 && waitedMs < 20_000, `${waitedMs} ms`);
    const attached = await rmtx(project, 'attach', runId);
    assert.equal(attached.code, 0, attached.stderr);
    assert.equal(project.has('made'), true);
  },
);

describe('cancel', () => {
  test('returns when the command has ended; what it changed waits', async () => {
    const project = paired.project();
    const script =
      "trap 'echo trapped; echo x > made; exit 6' INT; echo ready; while :; do sleep 0.1; done";
    const runId = await detach(project, script);
    await untilPrinted(project, runId);
    const cancelled = await rmtx(project, 'cancel', runId);
    assert.deepEqual([cancelled.code, cancelled.text], [0, `waiting\t${runId}\n`]);
    assert.equal(
      cancelled.stderr,
      `rmtx: its changes wait: rmtx attach ${runId} brings them home, rmtx cancel --discard ${runId} drops them\n`,
    );
    const again = await rmtx(project, 'cancel', runId);
    assert.equal(again.code, 0);
    assert.match(again.stderr, /^rmtx: the command of run r\w{16} had ended before$/m);
    const attached = await rmtx(project, 'attach', runId);
    assert.deepEqual([attached.code, attached.text], [6, 'ready\ntrapped\n'], attached.stderr);
    assert.equal(project.has('made'), true);
  });

  test('--force ends what does not listen, --discard drops what it changed', async () => {
    const project = paired.project();
    const runId = await detach(
      project,
      "trap '' INT TERM; echo x > made; echo ready; while :; do sleep 0.1; done",
    );
    await untilPrinted(project, runId);
    const result = await rmtx(project, 'cancel', '--force', '--discard', '--json', 'last');
    assert.equal(result.code, 0, result.stderr);
    const { run } = JSON.parse(result.text) as { run: ListedRun };
    assert.deepEqual([run.id, run.state, run.exit_code], [runId, 'done', 137]);
    const attached = await rmtx(project, 'attach', runId);
    assert.deepEqual([attached.code, attached.text], [137, 'ready\n'], attached.stderr);
    assert.equal(project.has('made'), false);
  });
});

/** The command has said something. */
async function untilPrinted(project: RigProject, runId: string): Promise<void> {
  const follower = project.client.start(['logs', '-f', runId], { cwd: project.root });
  await follower.says(/ready/);
  follower.child.kill('SIGKILL');
  await follower.ended;
}
