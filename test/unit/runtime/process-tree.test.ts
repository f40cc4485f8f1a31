import assert from 'node:assert/strict';
import { writeFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from '../../../src/runtime/process.js';
import {
  ProcessTree,
  findProcessesOfRun,
  killProcessesOfRun,
  processMechanism,
  stopTree,
} from '../../../src/runtime/process-tree.js';
import { ProcTable } from '../../../src/runtime/proc-table.js';
import type { ProcessScan } from '../../../src/runtime/process-table.js';
import { PsTable } from '../../../src/runtime/ps-table.js';
import type { RunningCommand } from '../../../src/runtime/runtime.js';
import {
  finish,
  isRunning,
  newRunId,
  run,
  specOf,
  temporaryDirectory,
  untilPrinted,
} from '../../support/commands.js';
import { processIs } from '../../support/processes.js';

const linuxOnly = { skip: process.platform === 'linux' ? false : 'looks into /proc' };

/** A process of another run, which nothing that is done to this run may touch. */
async function startBystander(t: TestContext): Promise<RunningCommand> {
  const bystander = await startProcess(specOf(['sh', '-c', 'echo up; exec tail -f /dev/null']));
  t.after(async () => {
    bystander.sendSignal('SIGKILL');
    await finish(bystander);
  });
  await untilPrinted(bystander.stdout, /up/);
  return bystander;
}

function pidIn(text: Buffer | string): number {
  return Number(/\d+/.exec(text.toString())?.[0]);
}

test('finds nothing left of an ordinary command', async () => {
  assert.deepEqual((await run(['true'])).swept, { killed: 0, survivors: 0 });
});

test('ends a child that stays in the group and holds stdout open', linuxOnly, async (t) => {
  const bystander = await startBystander(t);
  const { exit, stdout, swept, cut } = await run(['./leave-background-child.sh']);
  assert.deepEqual(exit, { kind: 'exited', code: 0 });
  assert.deepEqual([swept, cut], [{ killed: 1, survivors: 0 }, []]);
  assert.equal(isRunning(pidIn(stdout)), false);
  assert.equal(isRunning(bystander.pid!), true);
});

test('ends a daemon with a session of its own that ignores SIGTERM', linuxOnly, async (t) => {
  const bystander = await startBystander(t);
  const runId = newRunId();
  const { stdout, swept } = await run(['./leave-daemon.mjs'], { runId });
  assert.equal(swept.survivors, 0);
  assert.ok(swept.killed >= 1);
  assert.equal(isRunning(pidIn(stdout)), false);
  assert.deepEqual(await findProcessesOfRun(runId), []);
  assert.equal(isRunning(bystander.pid!), true);
});

test(
  'knows the child of a member that cleared its environment and left the session',
  linuxOnly,
  async () => {
    const script = 'env -i setsid sh -c "echo \\$\\$; exec tail -f /dev/null"; true';
    const command = await startProcess(specOf(['sh', '-c', script]));
    const pid = pidIn(await untilPrinted(command.stdout, /\d+\n/));
    command.sendSignal('SIGKILL');
    await finish(command);
    assert.equal(isRunning(pid), false);
  },
);

test(
  'knows a member of the session that cleared its environment and left the group',
  linuxOnly,
  async () => {
    // Job control (-m) gives each background child a group of its own.
    const script = 'set -m; env -i sh -c "echo \\$\\$; exec tail -f /dev/null" & exec sleep 0';
    const { stdout, swept } = await run(['sh', '-c', script]);
    assert.deepEqual(swept, { killed: 1, survivors: 0 });
    assert.equal(isRunning(pidIn(stdout)), false);
  },
);

test('ends processes that replace themselves all the time', linuxOnly, async (t) => {
  const flag = path.join(temporaryDirectory(t), 'go-on');
  writeFileSync(flag, '');
  t.after(() => rmSync(flag, { force: true }));
  const runId = newRunId();
  const { swept } = await run(['./fork-storm.sh', flag], { runId });
  assert.equal(swept.survivors, 0);
  assert.deepEqual(await findProcessesOfRun(runId), []);
});

test('signals the whole tree, also what left the group', linuxOnly, async () => {
  // The leader ends by itself, and only once its child has ended by the signal.
  const child = 'setsid sh -c "echo up; exec tail -f /dev/null" & child=$!';
  const wait = 'wait $child; while kill -0 $child 2>/dev/null; do wait $child; done; exit 7';
  const command = await startProcess(specOf(['sh', '-c', `trap : TERM; ${child}; ${wait}`]));
  await untilPrinted(command.stdout, /up/);
  command.sendSignal('SIGTERM');
  assert.deepEqual(await command.leaderExit, { kind: 'exited', code: 7 });
  assert.deepEqual((await finish(command)).swept, { killed: 0, survivors: 0 });
});

test('suspends the group, and who handles that decides for itself', linuxOnly, async () => {
  // What a shell ignores stays ignored across exec.
  const deaf = `sh -c 'trap "" TSTP; echo deaf $$; exec tail -f /dev/null' &`;
  const handler = `process.on("SIGTSTP", () => console.log("caught")); setInterval(() => {}, 1000)`;
  // It says so once it does: before that the signal would stop it for good.
  const catching = `node -e '${handler}; console.log("catching", process.pid)' &`;
  const apart = 'setsid sh -c "echo apart \\$\\$; exec tail -f /dev/null" &';
  const script = `${deaf} ${catching} ${apart} echo leader $$; exec tail -f /dev/null`;
  const command = await startProcess(specOf(['sh', '-c', script]));
  const printed = await untilPrinted(command.stdout, /(?:^\w+ \d+\n[^]*){4}/m);
  const pidOf = (name: string): number => Number(new RegExp(`${name} (\\d+)`).exec(printed)?.[1]);
  const caught = untilPrinted(command.stdout, /caught/);
  command.sendSignal('SIGTSTP');
  await processIs(pidOf('leader'), 'T');
  await caught;
  for (const name of ['deaf', 'catching', 'apart']) await processIs(pidOf(name), 'RSD');
  command.sendSignal('SIGCONT');
  await processIs(pidOf('leader'), 'RSD');
  // In the order of the calls, and what is stopped hears that it has to end.
  command.sendSignal('SIGTSTP');
  command.sendSignal('SIGTERM');
  assert.deepEqual((await finish(command)).exit, {
    kind: 'signalled',
    signal: 'SIGTERM',
    number: 15,
  });
  for (const name of ['deaf', 'catching', 'apart']) assert.equal(isRunning(pidOf(name)), false);
});

test('a signal does not reach what its trap starts', linuxOnly, async () => {
  const script = `trap 'setsid sh -c "sleep 0.3; echo cleaned" & wait $!; exit 3' TERM; echo up; while :; do sleep 0.05; done`;
  const command = await startProcess(specOf(['sh', '-c', script]));
  await untilPrinted(command.stdout, /up/);
  // Not in the same hundredth of a second as its start.
  await delay(30);
  const cleaned = untilPrinted(command.stdout, /cleaned/);
  command.sendSignal('SIGTERM');
  await cleaned;
  assert.deepEqual((await finish(command)).exit, { kind: 'exited', code: 3 });
});

test('finds and ends what a run left behind by its id alone', linuxOnly, async (t) => {
  const bystander = await startBystander(t);
  const runId = newRunId();
  const command = await startProcess(specOf(['./tree-that-ignores-signals.sh'], { runId }));
  await untilPrinted(command.stdout, /ready/);
  const found = (await findProcessesOfRun(runId)).map((key) => key.pid);
  assert.ok(found.includes(command.pid!));
  assert.equal(found.includes(bystander.pid!) || found.includes(process.pid), false);

  const { killed, survivors } = await killProcessesOfRun(runId, { graceMs: 20 });
  assert.ok(killed >= 2);
  assert.equal(survivors, 0);
  assert.deepEqual((await finish(command)).exit, {
    kind: 'signalled',
    signal: 'SIGKILL',
    number: 9,
  });
  assert.deepEqual(await findProcessesOfRun(runId), []);
  assert.equal(isRunning(bystander.pid!), true);
});

test(
  'does not take a longer run id, or one inside another variable, for the run',
  linuxOnly,
  async (t) => {
    const runId = newRunId();
    const similar = await startProcess(
      specOf(['sh', '-c', 'echo up; exec tail -f /dev/null'], {
        runId: `${runId}9`,
        env: { PATH: '/usr/bin:/bin', OTHER: `xRMTX_RUN_ID=${runId}`, X_RMTX_RUN_ID: runId },
      }),
    );
    t.after(async () => {
      similar.sendSignal('SIGKILL');
      await finish(similar);
    });
    await untilPrinted(similar.stdout, /up/);
    assert.deepEqual(await findProcessesOfRun(runId), []);
  },
);

test('does not signal a process that got the number of an earlier one', linuxOnly, async (t) => {
  const bystander = await startBystander(t);
  const pid = bystander.pid!;
  const table = new ProcTable();
  assert.equal(table.isSame({ pid, startedAt: table.startOf(pid) }), true);
  assert.equal(table.isSame({ pid, startedAt: '1' }), false);
});

test('a group number that was reused is no proof', linuxOnly, async (t) => {
  const stranger = await startBystander(t);
  // A tree whose leader had this number, too, and was reaped; without a count of processes the
  // numbering may have come by since.
  const table = new ProcTable();
  table.mark = () => undefined;
  const tree = new ProcessTree(newRunId(), table);
  tree.beforeStart();
  tree.started(stranger.pid!);
  tree.leaderEnded();
  assert.deepEqual(await tree.sweep(), { killed: 0, survivors: 0 });
  assert.equal(isRunning(stranger.pid!), true);
});

test('ps tells the same as /proc', linuxOnly, async () => {
  const runId = newRunId();
  const script = 'setsid sh -c "echo up; exec tail -f /dev/null" & wait';
  const command = await startProcess(specOf(['sh', '-c', script], { runId }));
  await untilPrinted(command.stdout, /up/);
  const ofLeader = { pid: command.pid!, startedAt: '', startMark: undefined, end: undefined };
  for (const leader of [undefined, ofLeader]) {
    const ps = pidsIn(await new PsTable('linux').scan({ runId, leader }));
    const proc = pidsIn(new ProcTable().scan({ runId, leader }));
    assert.deepEqual(ps, proc);
    assert.equal(ps.length, 2);
  }
  command.sendSignal('SIGKILL');
  await finish(command);
});

function pidsIn(scan: ProcessScan): number[] {
  return scan.processes.map((member) => member.pid).sort();
}

test('names its mechanism', () => {
  assert.match(processMechanism(), /\w/);
});

test('stops a willing command with SIGINT', async () => {
  const command = await startProcess(specOf(['sh', '-c', 'echo up; exec tail -f /dev/null']));
  await untilPrinted(command.stdout, /up/);
  const steps: string[] = [];
  stopTree(command, { onStep: (exitSignal) => steps.push(exitSignal) });
  assert.deepEqual((await finish(command)).exit, {
    kind: 'signalled',
    signal: 'SIGINT',
    number: 2,
  });
  assert.deepEqual(steps, ['SIGINT']);
});

test('climbs to SIGTERM and SIGKILL with a command that ignores both', linuxOnly, async () => {
  const command = await startProcess(specOf(['./tree-that-ignores-signals.sh']));
  await untilPrinted(command.stdout, /ready/);
  const steps: string[] = [];
  stopTree(command, { graceMs: 10, killMs: 10, onStep: (exitSignal) => steps.push(exitSignal) });
  const { exit } = await finish(command);
  assert.deepEqual(exit, { kind: 'signalled', signal: 'SIGKILL', number: 9 });
  assert.deepEqual(steps, ['SIGINT', 'SIGTERM', 'SIGKILL']);
});

test('a command sees each step once', async () => {
  const command = await startProcess(specOf(['./ignore-signals.mjs']));
  await untilPrinted(command.stdout, /ready/);
  const seen = untilPrinted(command.stdout, /SIGINT\n[^]*SIGTERM\n/);
  const ladder = stopTree(command, { graceMs: 10 });
  assert.equal(await seen, 'SIGINT\nSIGTERM\n');
  ladder.force();
  ladder.force();
  assert.equal((await finish(command)).exit.kind, 'signalled');
});

test('forced, kills at once', async () => {
  const command = await startProcess(specOf(['./tree-that-ignores-signals.sh']));
  await untilPrinted(command.stdout, /ready/);
  const steps: string[] = [];
  stopTree(command, { onStep: (exitSignal) => steps.push(exitSignal) }).force();
  assert.equal((await finish(command)).exit.kind, 'signalled');
  assert.deepEqual(steps, ['SIGINT', 'SIGKILL']);
});

test('ended, sends nothing more', async (t) => {
  const command = await startProcess(specOf(['./ignore-signals.mjs']));
  await untilPrinted(command.stdout, /ready/);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const steps: string[] = [];
  const ladder = stopTree(command, { onStep: (exitSignal) => steps.push(exitSignal) });
  ladder.end();
  t.mock.timers.tick(60_000);
  ladder.force();
  t.mock.timers.reset();
  assert.deepEqual(steps, ['SIGINT']);
  command.sendSignal('SIGKILL');
  await finish(command);
});
