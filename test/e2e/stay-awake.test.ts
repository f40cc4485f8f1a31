/**
 * A host that keeps its machine awake while runs are active. No logind runs where tests do, so a program
 * stands in for systemd-inhibit, which does what that one does: holds on, and becomes its command.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { hostStatus } from '../../src/host/administration.js';
import { StandInPrograms, eventually } from '../support/programs.js';
import { stateOf } from '../support/processes.js';
import { Rig } from '../support/rig.js';
import type { Result, RigHost, RigProject } from '../support/rig.js';

const GRANTS = `
env >"$notes"
ls -l /proc/$$/fd >>"$notes"
grep locks /proc/$$/limits >>"$notes"
while [ "\${1#--}" != "$1" ]; do shift; done
exec "$@"`;
const REFUSES = 'echo "Failed to inhibit: Access denied" >&2; exit 1';
const ARGS = '--what=sleep:idle --who=rmtx --why=a run is active --mode=block cat';

interface Scene extends AsyncDisposable {
  readonly rig: Rig;
  readonly programs: StandInPrograms;
  readonly host: RigHost;
  readonly project: RigProject;
}

async function sceneWith(script: string, args: readonly string[] = []): Promise<Scene> {
  const rig = new Rig();
  const programs = new StandInPrograms(rig.newDirectory('programs'));
  programs.add('systemd-inhibit', script);
  const wrap = ['env', `PATH=${programs.path}`, 'HOST_SECRET=hunter2'];
  const host = await rig.host({ wrap, args });
  const client = rig.pairedClient(host);
  const project = client.project({}, { host });
  return { rig, programs, host, project, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

interface LongRun {
  readonly result: Promise<Result>;
  end(): void;
}

/** A run that has started and goes on until it is told to end. */
async function longRun({ rig, project }: Scene): Promise<LongRun> {
  const fifo = path.join(rig.newDirectory('fifo'), 'end');
  execFileSync('mkfifo', [fifo]);
  const running = project.client.start(['exec', '--', 'sh', '-c', `echo started; cat '${fifo}'`], {
    cwd: project.root,
  });
  await running.says(/started/);
  const end = (): void => void execFileSync('sh', ['-c', `: >'${fifo}'`]);
  return { result: running.ended, end };
}

interface Awake {
  readonly state: string;
  readonly scope: string | null;
  readonly reason: string | null;
}

/** What `rmtx host status` says. */
async function awake(host: RigHost): Promise<Awake> {
  const status = await host.admin('status', '--json');
  return (JSON.parse(status.text) as { keeps_awake: Awake }).keeps_awake;
}

/** Asked for again and again without a process for each time. */
async function awakeIs(host: RigHost, state: string): Promise<Awake> {
  await eventually(state, async () => {
    const { keepsAwake } = await hostStatus(host.stateDirectory);
    return keepsAwake?.state === state ? true : undefined;
  });
  return awake(host);
}

function descriptorsOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).flatMap((fd) => {
    try {
      return [readlinkSync(path.join(directory, fd))];
    } catch {
      // Closed since.
      return [];
    }
  });
}

function isGone(pid: number): true | undefined {
  try {
    return ['Z', 'X'].includes(stateOf(pid)) ? true : undefined;
  } catch {
    return true;
  }
}

describe('while a run is active', { concurrency: 5 }, () => {
  test('one inhibitor is held for all, and ends after the last', async () => {
    await using scene = await sceneWith(GRANTS);
    const { host, programs } = scene;
    assert.equal((await awake(host)).state, 'ready');
    const first = await longRun(scene);
    const second = await longRun(scene);
    assert.deepEqual(await awakeIs(host, 'held'), { state: 'held', scope: 'all', reason: null });
    first.end();
    assert.deepEqual([(await first.result).code, (await first.result).stderr], [0, '']);
    assert.equal((await awake(host)).state, 'held');
    const [call, ...more] = programs.calls('systemd-inhibit');
    assert.ok(call);
    assert.deepEqual([call.args, more.length], [ARGS, 0]);
    assert.equal(isGone(call.pid), undefined);
    second.end();
    assert.deepEqual([(await second.result).code, (await second.result).stderr], [0, '']);
    await eventually('its end', () => isGone(call.pid));
    assert.equal((await awake(host)).state, 'ready');
    assert.equal(programs.calls('systemd-inhibit').length, 1);
  });

  test('it is no process of a run, and knows nothing of the host', async () => {
    await using scene = await sceneWith(GRANTS);
    const run = await longRun(scene);
    await awakeIs(scene.host, 'held');
    const notes = scene.programs.notes('systemd-inhibit');
    assert.doesNotMatch(notes, /RMTX|hunter2|HOST_SECRET|^HOME=/m);
    assert.match(notes, /Max file locks +unlimited/);
    // What the host itself found open when it was started is everybody's.
    const everybodys = descriptorsOf(process.pid);
    const hosts = descriptorsOf(scene.host.running.child.pid ?? 0).filter(
      (target) => !everybodys.includes(target),
    );
    assert.ok(hosts.length > 10);
    const held = notes.split('\n').filter((line) => / (?![012] )\d+ -> /.test(line));
    assert.deepEqual(
      held.map((line) => line.split(' -> ')[1] ?? '').filter((target) => hosts.includes(target)),
      [],
    );
    run.end();
    assert.equal((await run.result).stderr, '');
  });

  test('it ends with a host that is killed', async () => {
    await using scene = await sceneWith(GRANTS);
    const run = await longRun(scene);
    await awakeIs(scene.host, 'held');
    const [call] = scene.programs.calls('systemd-inhibit');
    await scene.host.kill();
    await eventually('its end', () => isGone(call?.pid ?? 0));
    run.end();
  });

  test('where only idling may be held off, that is done, and the rest is said once', async () => {
    await using scene = await sceneWith(`case "$*" in *sleep*) ${REFUSES};; esac\n${GRANTS}`);
    const { host, programs } = scene;
    const run = await longRun(scene);
    const reason = 'Failed to inhibit: Access denied';
    assert.deepEqual(await awakeIs(host, 'held'), { state: 'held', scope: 'idle', reason });
    assert.equal(programs.calls('systemd-inhibit')[1]?.args, ARGS.replace('sleep:', ''));
    run.end();
    await run.result;
    await awakeIs(host, 'ready');
    const again = await longRun(scene);
    await awakeIs(host, 'held');
    again.end();
    assert.deepEqual([(await again.result).code, (await again.result).stderr], [0, '']);
    assert.equal(host.running.stderr.split(reason).length, 2, host.running.stderr);
  });

  test('a refusal, and a program that never answers, are no trouble of a run', async () => {
    for (const [script, why] of [
      [REFUSES, 'Failed to inhibit: Access denied'],
      ['exec sleep 1000', undefined],
    ] as const) {
      await using scene = await sceneWith(script);
      const { host, programs } = scene;
      const run = await longRun(scene);
      await eventually('a call', () => programs.calls('systemd-inhibit')[0]);
      if (why !== undefined) {
        assert.equal((await awakeIs(host, 'cannot')).reason, why);
        const { text } = await host.admin('status');
        assert.match(text, /^keeps awake {2}cannot: Failed to inhibit: Access denied$/m);
        assert.match(host.running.stderr, /cannot keep this machine awake .*: Failed to inhibit/);
      }
      run.end();
      assert.deepEqual([(await run.result).code, (await run.result).stderr], [0, '']);
      const stopped = await host.stop();
      assert.equal(stopped.code, 0);
    }
  });

  test('one that somebody ends in the midst of a run is said, and not asked for again and again', async () => {
    await using scene = await sceneWith(GRANTS);
    const { host, programs } = scene;
    const run = await longRun(scene);
    await awakeIs(host, 'held');
    process.kill(programs.calls('systemd-inhibit')[0]?.pid ?? 0, 'SIGKILL');
    await host.running.says(/this machine is kept awake no more/);
    assert.equal((await awake(host)).reason, 'systemd-inhibit ended');
    run.end();
    assert.equal((await run.result).code, 0);
  });

  test('where there is no systemd-inhibit the host says so', async () => {
    await using rig = new Rig();
    const host = await rig.host({ wrap: ['env', `PATH=${rig.newDirectory('empty')}`] });
    const project = rig.pairedClient(host).project({}, { host });
    const run = await longRun({ rig, project } as Scene);
    assert.equal((await awakeIs(host, 'cannot')).reason, 'there is no systemd-inhibit here');
    run.end();
    assert.equal((await run.result).code, 0);
  });

  test('--no-keep-awake asks nobody', async () => {
    await using scene = await sceneWith(GRANTS, ['--no-keep-awake']);
    assert.equal((await scene.project.sh('sleep 1.5')).code, 0);
    assert.equal((await awake(scene.host)).state, 'off');
    assert.deepEqual(scene.programs.calls('systemd-inhibit'), []);
  });

  test('a short run starts nothing', async () => {
    await using scene = await sceneWith(GRANTS);
    assert.equal((await scene.project.sh('true')).code, 0);
    const run = await longRun(scene);
    await awakeIs(scene.host, 'held');
    run.end();
    await run.result;
    assert.equal(scene.programs.calls('systemd-inhibit').length, 1);
  });
});
