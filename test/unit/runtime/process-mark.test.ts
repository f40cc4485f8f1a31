import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { canMark, prepareMark } from '../../../src/runtime/process-mark.js';
import {
  findProcessesOfRun,
  killProcessesOfRun,
  processMechanism,
} from '../../../src/runtime/process-tree.js';
import { startProcess } from '../../../src/runtime/process.js';
import {
  bytesOf,
  finish,
  isRunning,
  newRunId,
  run,
  specOf,
  untilPrinted,
} from '../../support/commands.js';

const marked = { skip: canMark() ? false : 'needs prlimit' };

const agentOnly = {
  skip: canMark() && existsSync('/usr/bin/ssh-agent') ? false : 'needs prlimit and ssh-agent',
};

/** By the time it has said its number nothing but the mark tells whose it is. */
const LEAVE = 'env -i setsid sh -c "tail -f /dev/null & echo \\$!"; sleep 0.1';
/** The same, and nothing that it has open leads to the run. */
const LEAVE_QUIETLY =
  'env -i setsid sh -c "cd /; tail -f /dev/null </dev/null >/dev/null 2>&1 & echo \\$!"; sleep 0.1';

function pidIn(text: Buffer | string): number {
  return Number(/\d+/.exec(text.toString())?.[0]);
}

test(
  'ends what cleared its environment, left the session and outlived its parent',
  marked,
  async () => {
    for (const script of [LEAVE, LEAVE_QUIETLY]) {
      const { stdout, swept } = await run(['sh', '-c', script]);
      assert.ok(swept.killed >= 1, script);
      assert.equal(swept.survivors, 0);
      assert.equal(isRunning(pidIn(stdout)), false);
    }
  },
);

test('signals it, too', marked, async () => {
  const command = await startProcess(specOf(['sh', '-c', `${LEAVE}; tail -f /dev/null`]));
  const pid = pidIn(await untilPrinted(command.stdout, /\d+\n/));
  command.sendSignal('SIGTERM');
  await finish(command);
  assert.equal(isRunning(pid), false);
});

test('finds it by the id of the run alone, as a later host would', marked, async () => {
  const runId = newRunId();
  const command = await startProcess(specOf(['sh', '-c', `${LEAVE}; exit 0`], { runId }));
  const pid = pidIn(await untilPrinted(command.stdout, /\d+\n/));
  await command.leaderExit;
  // Another run starts meanwhile.
  await run(['true']);
  assert.deepEqual(
    (await findProcessesOfRun(runId)).map((key) => key.pid),
    [pid],
  );
  assert.deepEqual(await killProcessesOfRun(runId), { killed: 1, survivors: 0 });
  await finish(command);
  assert.equal(isRunning(pid), false);
});

test('ends an agent that hides its environment', agentOnly, async () => {
  const runId = newRunId();
  const { stdout, swept } = await run(['ssh-agent', '-s'], { runId });
  assert.deepEqual(swept, { killed: 1, survivors: 0 });
  const [, pid] = /Agent pid (\d+)/.exec(stdout.toString()) ?? [];
  assert.equal(isRunning(Number(pid)), false);
});

test('takes nothing for its own that another run left', marked, async () => {
  const starts = [1, 2, 3, 4].map(async () => {
    const command = await startProcess(specOf(['sh', '-c', `${LEAVE}; exec tail -f /dev/null`]));
    return { command, pid: pidIn(await untilPrinted(command.stdout, /\d+\n/)) };
  });
  const left = await Promise.all(starts);
  while (left.length > 0) {
    const { command, pid } = left.pop()!;
    command.sendSignal('SIGKILL');
    await finish(command);
    assert.equal(isRunning(pid), false);
    for (const other of left) assert.equal(isRunning(other.pid), true);
  }
});

test(
  'does not take what this process starts for itself for a part of the run',
  marked,
  async () => {
    const runId = newRunId();
    const command = await startProcess(specOf(['true'], { runId }));
    await command.leaderExit;
    const mine = startHelper();
    assert.match(readFileSync(`/proc/${mine.pid}/limits`, 'utf8'), /^Max file locks +\d{19} /m);
    assert.deepEqual(await findProcessesOfRun(runId), []);
    assert.deepEqual((await finish(command)).swept, { killed: 0, survivors: 0 });
    assert.equal(isRunning(mine.pid), true);
    mine.end();
  },
);

function startHelper(): { pid: number; end: () => void } {
  const child = spawn('tail', ['-f', '/dev/null'], { stdio: 'ignore', env: {} });
  return { pid: child.pid!, end: () => child.kill('SIGKILL') };
}

test('set in advance it is the same mark, and no second process sets it', marked, async () => {
  const runId = newRunId();
  prepareMark(runId);
  const command = await startProcess(
    specOf(['sh', '-c', 'ulimit -H -a; cat /proc/self/limits'], { runId }),
  );
  const [stdout] = await Promise.all([bytesOf(command.stdout), finish(command)]);
  assert.match(stdout.toString(), /^Max file locks +\d{19} +unlimited /m);
});

test('says how processes are found', marked, () => {
  assert.match(processMechanism(), /^marks, process groups/);
  assert.doesNotThrow(() => execFileSync('prlimit', ['--version']));
});
