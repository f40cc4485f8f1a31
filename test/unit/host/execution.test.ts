import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { Execution } from '../../../src/host/execution.js';
import type { RunRequest } from '../../../src/host/execution.js';
import { RunOutput } from '../../../src/host/output.js';
import { Spool } from '../../../src/host/spool.js';
import { newRunId, temporaryDirectory } from '../../support/commands.js';
import { processesWith, uniqueSeconds } from '../../support/processes.js';

const noProc = existsSync('/proc/self/cmdline') ? false : 'needs /proc';

function newExecution(t: TestContext): {
  execution: Execution;
  steps: string[];
  printed: (stream: 'stdout' | 'stderr') => string;
  directory: string;
} {
  const directory = temporaryDirectory(t);
  const streams = {
    stdout: new RunOutput(Spool.open(directory, 'stdout')),
    stderr: new RunOutput(Spool.open(directory, 'stderr')),
  };
  const steps: string[] = [];
  const onStopStep = (exitSignal: string): void => void steps.push(exitSignal);
  const execution = new Execution({ runId: newRunId(), directory, ...streams, onStopStep });
  return {
    execution,
    steps,
    directory,
    printed: (stream) => streams[stream].spool.read(0, 1_000_000).toString(),
  };
}

function requestOf(directory: string, argv: string[], rest: Partial<RunRequest> = {}): RunRequest {
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' };
  const plain = { hasStdin: false, terminal: undefined, timeoutMs: undefined };
  return { argv, cwd: directory, env, ...plain, ...rest };
}

describe('Execution', { skip: noProc }, () => {
  test('runs a command to its end with nobody there', async (t) => {
    const { execution, printed, directory, steps } = newExecution(t);
    const started: boolean[] = [];
    const request = requestOf(directory, ['sh', '-c', 'echo out; echo err >&2; exit 3']);
    const report = await execution.run(request, (hasProcess) => started.push(hasProcess));
    assert.deepEqual(report.outcome, { kind: 'exited', code: 3 });
    assert.deepEqual([started, printed('stdout'), printed('stderr')], [[true], 'out\n', 'err\n']);
    execution.stop({ isForced: true });
    execution.signal('SIGHUP');
    execution.resize({ columns: 1, rows: 1 });
    assert.deepEqual(steps, []);
    await execution.dispose();
  });

  test('keeps a signal that comes before the command for it', async (t) => {
    const { execution, directory } = newExecution(t);
    execution.signal('SIGHUP');
    const request = requestOf(directory, ['sleep', '1000']);
    const { outcome } = await execution.run(request, () => undefined);
    assert.deepEqual(outcome, { kind: 'signalled', exitSignal: 'SIGHUP', number: 1 });
  });

  test('says whether there is a process', async (t) => {
    const { execution, directory } = newExecution(t);
    const started: boolean[] = [];
    const report = await execution.run(requestOf(directory, ['no-such-command']), (hasProcess) =>
      started.push(hasProcess),
    );
    assert.equal(report.outcome.kind, 'not-found');
    assert.deepEqual(started, [false]);
  });

  test('stopped before it has begun it never runs', async (t) => {
    const { execution, directory } = newExecution(t);
    execution.stop({ isForced: false });
    const request = requestOf(directory, ['touch', path.join(directory, 'witness')]);
    const report = await execution.run(request, () => assert.fail('started'));
    assert.deepEqual(report.outcome, { kind: 'signalled', exitSignal: 'SIGINT', number: 2 });
    assert.equal(existsSync(path.join(directory, 'witness')), false);
    await execution.dispose();
  });

  test('stopped while it is being started it ends, and says each step', async (t) => {
    const { execution, directory, steps } = newExecution(t);
    const seconds = uniqueSeconds();
    const script = `trap '' INT TERM; setsid sleep ${seconds} & sleep ${seconds}; sleep ${seconds}`;
    const running = execution.run(requestOf(directory, ['sh', '-c', script]), () => {
      execution.stop({ isForced: false });
      execution.stop({ isForced: true });
      execution.stop({ isForced: true });
    });
    assert.equal((await running).outcome.kind, 'signalled');
    assert.deepEqual(steps, ['SIGINT', 'SIGKILL']);
    assert.deepEqual(processesWith(seconds), []);
  });

  test('passes signals on to the whole tree, and its time limit ends it', async (t) => {
    const { execution, directory, printed } = newExecution(t);
    const script = `trap 'echo usr1' USR1; echo ready; while :; do sleep 0.02; done`;
    const running = execution.run(
      requestOf(directory, ['sh', '-c', script], { timeoutMs: 400 }),
      () => {
        const pressing = setInterval(() => {
          if (printed('stdout').includes('ready')) execution.signal('SIGUSR1');
          if (printed('stdout').includes('usr1')) clearInterval(pressing);
        }, 20);
      },
    );
    assert.deepEqual((await running).outcome, { kind: 'timed-out' });
    assert.match(printed('stdout'), /usr1/);
  });
});
