import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Gate } from '../support/gate.js';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import { eventually } from '../support/programs.js';
import type { Result, RigProject, RunningRmtx } from '../support/rig.js';

const paired = new PairedRig();

const RUN_ID = /^r[0-9a-z]{16}$/;

function start(project: RigProject, script: string, ...flags: readonly string[]): RunningRmtx {
  return project.client.start(['exec', ...flags, '--', 'sh', '-c', script], { cwd: project.root });
}

function rmtx(project: RigProject, ...args: readonly string[]): Promise<Result> {
  return project.client.rmtx(args, { cwd: project.root });
}

/** Starts the command and leaves it; gives the run's id. */
async function detach(project: RigProject, script: string): Promise<string> {
  const result = await project.sh(script, { flags: ['-d'] });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.text.trim(), RUN_ID);
  return result.text.trim();
}

/** What is kept here of runs that are not settled. */
function ticketsOf({ client }: RigProject): string[] {
  const projects = path.join(client.home, '.rmtx', 'projects');
  return readdirSync(projects).flatMap((name) => {
    const runs = path.join(projects, name, 'runs');
    return existsSync(runs) ? readdirSync(runs) : [];
  });
}

describe('attach', () => {
  test(
    'after the output could not be written: the error names it, and nothing of the run is lost',
    { skip: existsSync('/dev/full') ? false : 'needs /dev/full' },
    async () => {
      const project = paired.project({});
      const full = openSync('/dev/full', 'w');
      const command = 'echo one; echo two; echo x > made; exit 5';
      const running = project.client.start(['exec', '--', 'sh', '-c', command], {
        cwd: project.root,
        stdio: ['ignore', full, 'pipe'],
      });
      closeSync(full);
      const { code, stderr } = await running.ended;
      assert.equal(code, 125, stderr);
      assert.match(stderr, /^rmtx: error: the command's stdout cannot be written: ENOSPC/);
      const [, runId = ''] = /rmtx attach (r\w+)/.exec(stderr) ?? [];
      const result = await rmtx(project, 'attach', runId);
      assert.deepEqual([result.code, result.text], [5, 'one\ntwo\n'], result.stderr);
      assert.ok(project.has('made'));
    },
  );

  test('after the client was killed: output from where it was left, changes, exit code', async () => {
    const project = paired.project({ a: 'a\n', b: 'b\n' });
    await using gate = await Gate.in(paired.rig.directory);
    const script = `echo one; echo two >&2; ${gate.command}; echo three; echo x > made; rm b; exit 5`;
    const running = start(project, script);
    await gate.arrived(running);
    await running.says(/one/);
    await running.says(/two/);
    const [runId = ''] = ticketsOf(project);
    await untilRemembered(project, runId, [4, 4]);
    running.child.kill('SIGKILL');
    await running.ended;
    // Edited meanwhile: what counts is what the run was given.
    project.write({ a: 'edited\n' });
    gate.open();
    const result = await rmtx(project, 'attach', runId);
    assert.equal(result.code, 5, result.stderr);
    assert.equal(result.text, 'three\n');
    assert.equal(result.stderr, '');
    assert.equal(readFileSync(project.path('made'), 'utf8'), 'x\n');
    assert.equal(project.has('b'), false);
    assert.equal(readFileSync(project.path('a'), 'utf8'), 'edited\n');
    assert.deepEqual(ticketsOf(project), []);
    const next = await project.sh('cat a made');
    assert.deepEqual([next.code, next.text], [0, 'edited\nx\n'], next.stderr);
  });

  test('to a run that is over, from any directory: all at once', async () => {
    await using rig = new Rig();
    const project = await rig.project({ a: 'a\n' });
    const bytes = randomBytes(3_000_000);
    project.write({ bytes });
    const runId = await detach(project, 'cat bytes; echo x > made; exit 3');
    await untilState(project, runId, 'waiting');
    assert.equal(project.has('made'), false);
    const elsewhere = rig.newDirectory('elsewhere');
    const result = await project.client.rmtx(['attach', runId], { cwd: elsewhere });
    assert.equal(result.code, 3, result.stderr);
    assert.equal(sha(result.stdout), sha(bytes));
    assert.equal(readFileSync(project.path('made'), 'utf8'), 'x\n');
    assert.deepEqual(ticketsOf(project), []);
    const again = await rmtx(project, 'attach', runId);
    assert.equal(again.code, 3, again.stderr);
    assert.equal(sha(again.stdout), sha(bytes));
    // Of its own: it has said all that it has to say only when it has ended.
    const { stderr } = await project.host.stop();
    assert.doesNotMatch(stderr, /a visit failed/);
  });

  test('keeps both where a path was changed here meanwhile: 122', async () => {
    const project = paired.project({ a: 'a\n' });
    const runId = await detach(project, 'echo theirs > a');
    project.write({ a: 'mine\n' });
    const result = await rmtx(project, 'attach', runId);
    assert.equal(result.code, 122, result.stderr);
    assert.match(result.stderr, /^rmtx: conflict: a: /m);
    assert.equal(readFileSync(project.path('a'), 'utf8'), 'mine\n');
  });

  test('takes the run over from an exec that is still there', async () => {
    const project = paired.project({});
    await using gate = await Gate.in(paired.rig.directory);
    const running = start(project, `echo one; ${gate.command}; echo two; echo x > made`);
    await gate.arrived(running);
    await running.says(/one/);
    const attached = project.client.start(['attach', 'last', '-v'], { cwd: project.root });
    await attached.says(/is running: sh -c/);
    const first = await running.ended;
    assert.equal(first.code, 125);
    assert.match(first.stderr, /^rmtx: error: run r\w{16} was taken over by another rmtx$/m);
    gate.open();
    const second = await attached.ended;
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.text, /two\n$/);
    assert.equal(project.has('made'), true);
  });

  test('its stdin is at its end, and Ctrl-C asks the command to end', async () => {
    const project = paired.project({});
    const script = "cat; trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done";
    const runId = await detach(project, script);
    const attached = project.client.start(['attach', runId], { cwd: project.root });
    await attached.says(/ready/);
    attached.child.kill('SIGINT');
    const result = await attached.ended;
    assert.equal(result.code, 9, result.stderr);
    assert.match(result.stderr, /asking the command to end/);
  });

  test('--no-sync-back leaves the changes there for another time', async () => {
    const project = paired.project({});
    const runId = await detach(project, 'echo out; echo x > made');
    const left = await rmtx(project, 'attach', runId, '--no-sync-back');
    assert.deepEqual([left.code, left.text], [0, 'out\n'], left.stderr);
    assert.equal(project.has('made'), false);
    await untilState(project, runId, 'waiting');
    const taken = await rmtx(project, 'attach', runId);
    assert.deepEqual([taken.code, taken.text], [0, ''], taken.stderr);
    assert.equal(project.has('made'), true);
  });

  test('without what the run was started from: output and exit code, and the changes wait', async () => {
    const project = paired.project({});
    const runId = await detach(project, 'echo out; echo x > made');
    for (const name of readdirSync(path.join(project.client.home, '.rmtx', 'projects')))
      rmSync(path.join(project.client.home, '.rmtx', 'projects', name, 'runs'), {
        recursive: true,
        force: true,
      });
    const result = await rmtx(project, 'attach', runId);
    assert.deepEqual([result.code, result.text], [122, 'out\n'], result.stderr);
    assert.match(
      result.stderr,
      /^rmtx: what the command changed waits on the host: it can only be brought home from where the run was started$/m,
    );
    await untilState(project, runId, 'waiting');
  });

  test('to a run that the host does not know: 125 and why', async () => {
    const project = paired.project({});
    const result = await rmtx(project, 'attach', 'r0000000000000000');
    assert.equal(result.code, 125);
    assert.match(result.stderr, /^rmtx: error: the host has no run r0{16} of this client$/m);
    const prefix = await rmtx(project, 'attach', 'r00');
    assert.equal(prefix.code, 125);
    assert.match(prefix.stderr, /^rmtx: error: the host has no run r00 of this client$/m);
  });

  test('as JSON: what exec would have said, and first what the run is', async () => {
    const project = paired.project({});
    const runId = await detach(project, 'echo out; exit 4');
    const result = await rmtx(project, 'attach', runId, '--json');
    assert.equal(result.code, 4, result.stderr);
    const lines = result.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const attached = lines.find(({ type }) => type === 'attached');
    assert.equal(attached?.['run_id'], runId);
    assert.deepEqual(attached?.['command'], ['sh', '-c', 'echo out; exit 4']);
    const output = lines.find(({ type }) => type === 'output');
    assert.equal(output?.['data_b64'], Buffer.from('out\n').toString('base64'));
    const report = lines.at(-1);
    assert.deepEqual(
      [report?.['type'], report?.['run_id'], report?.['exit_code'], report?.['command']],
      ['report', runId, 4, ['sh', '-c', 'echo out; exit 4']],
    );
  });
});

describe('exec', () => {
  test('says on a terminal or with -v which runs of the project wait', async () => {
    const project = paired.project({});
    const runId = await detach(project, 'echo x > made');
    await untilState(project, runId, 'waiting');
    const quiet = await project.sh('true');
    assert.deepEqual([quiet.code, quiet.stderr], [0, '']);
    const result = await project.sh('true', { flags: ['-v'] });
    assert.match(
      result.stderr,
      new RegExp(
        `^rmtx: run ${runId} of this project is over and waits: rmtx attach ${runId}$`,
        'm',
      ),
    );
  });

  test('leaves nothing behind that would have to be come back to', async () => {
    const project = paired.project({});
    for (const script of ['true', 'exit 3', 'echo x > made', 'kill -9 $$'])
      await project.sh(script);
    assert.deepEqual(ticketsOf(project), []);
    await project.exec(['no-such-command']);
    await project.sh('echo y > made', { flags: ['--no-sync-back'] });
    assert.deepEqual(ticketsOf(project), []);
  });

  test('a command that cannot be started is not left but reported', async () => {
    const project = paired.project({});
    const result = await project.exec(['no-such-command'], { flags: ['--detach'] });
    assert.deepEqual([result.code, result.text], [127, ''], result.stderr);
    assert.match(result.stderr, /^rmtx: error: command not found on the host: no-such-command/m);
    assert.deepEqual(ticketsOf(project), []);
    const both = await project.sh('true', { flags: ['-d', '--report', 'r.json'] });
    assert.equal(both.code, 2);
  });
});

/** The client writes down at its leisure how much it has shown. */
async function untilRemembered(
  { client }: RigProject,
  runId: string,
  offsets: readonly number[],
): Promise<void> {
  const projects = path.join(client.home, '.rmtx', 'projects');
  const [name = ''] = readdirSync(projects);
  const file = path.join(projects, name, 'runs', runId, 'offsets');
  await eventually(`${offsets.join()} in ${file}`, () => {
    const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
    if (bytes.length !== 16) return undefined;
    return offsets.every((offset, at) => bytes.readBigUInt64LE(at * 8) === BigInt(offset))
      ? true
      : undefined;
  });
}

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Asks until the run is what is waited for: nothing tells of a run that nobody visits. */
async function untilState(project: RigProject, runId: string, state: string): Promise<void> {
  for (;;) {
    const { code, text, stderr } = await rmtx(project, 'runs', '--all', '--json');
    assert.equal(code, 0, stderr);
    const { runs } = JSON.parse(text) as { runs: { id: string; state: string }[] };
    const found = runs.find(({ id }) => id === runId);
    if (found?.state === state) return;
    assert.ok(found?.state === 'running' || found?.state === 'collecting', found?.state);
  }
}
