import assert from 'node:assert/strict';
import { cpSync, existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fixture } from '../support/commands.js';
import { Rig } from '../support/rig.js';
import type { RigProject, RunningRmtx } from '../support/rig.js';
import { processIs, processesStart, processesWith, uniqueSeconds } from '../support/processes.js';

const noProc = existsSync('/proc/self/cmdline') ? false : 'needs /proc';
const isLong = process.env['RMTX_LONG_TESTS'] === '1';

const rig = new Rig();
let project: RigProject;
before(async () => {
  project = await rig.project();
  cpSync(fixture('tell-signals.mjs'), project.path('tell-signals.mjs'));
});
after(() => rig[Symbol.asyncDispose]());

function start(script: string, ...flags: string[]): RunningRmtx {
  return project.client.start(['exec', ...flags, '--', 'sh', '-c', script], { cwd: project.root });
}

/** How often a text was said on stderr. */
function count(running: RunningRmtx, what: RegExp): number {
  return [...running.stderr.matchAll(what)].length;
}

describe('a signal to the client', { skip: noProc }, () => {
  test('reaches all of its processes, each time, and does not end who handles it', async () => {
    const running = start('setsid ./tell-signals.mjs far & exec ./tell-signals.mjs near', '-v');
    await Promise.all([running.says(/near ready/), running.says(/far ready/)]);
    for (const signal of ['SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGHUP'] as const) {
      const before = running.stdoutText.length;
      running.child.kill(signal);
      for (const word of ['near', 'far'])
        await running.says(new RegExp(`^[^]{${before}}[^]*${word} ${signal}$`, 'm'));
    }
    running.child.kill('SIGTERM');
    // Asked by SIGINT first, which it only tells.
    await running.says(/near SIGINT/);
    running.child.kill('SIGTERM');
    assert.equal((await running.ended).code, 130);
    assert.doesNotMatch(running.stderr, /[Dd]ebugger/);
  });

  test('that a command does nothing about ends it with 128 and its number', async () => {
    for (const [signal, code] of [
      ['SIGHUP', 129],
      ['SIGQUIT', 131],
      ['SIGUSR1', 138],
      ['SIGUSR2', 140],
    ] as const) {
      const seconds = uniqueSeconds();
      const running = start(
        `ulimit -c 0; echo kept > ${signal}; setsid sleep ${seconds} & echo ready; exec sleep ${seconds}`,
      );
      await running.says(/ready/);
      await processesStart(seconds, 2);
      running.child.kill(signal);
      assert.equal((await running.ended).code, code, running.stderr);
      assert.match(running.stderr, new RegExp(`^rmtx: sh was ended by ${signal}$`, 'm'));
      assert.equal(project.has(signal), true);
      assert.deepEqual(processesWith(seconds), []);
    }
  });

  test('SIGTSTP stops the command and the client, SIGCONT lets both go on', async () => {
    const seconds = uniqueSeconds();
    const running = start(
      `trap 'echo goes on; exit 6' USR1; sleep ${seconds} & echo ready; while :; do wait $!; done`,
    );
    const client = running.child.pid ?? 0;
    await running.says(/ready/);
    await processesStart(seconds, 1);
    const [sleep = 0] = processesWith(seconds);
    for (const each of [1, 2]) {
      running.child.kill('SIGTSTP');
      await processIs(sleep, 'T');
      await processIs(client, 'T');
      running.child.kill('SIGCONT');
      await processIs(client, 'SR');
      await processIs(sleep, 'SR');
      assert.equal(running.child.exitCode, null, `round ${each}`);
    }
    running.child.kill('SIGUSR1');
    assert.equal((await running.ended).code, 6, running.stderr);
    assert.deepEqual(processesWith(seconds), []);
  });

  test('SIGTSTP before the command has started only stops the client', async () => {
    const host = project.host.running.child;
    host.kill('SIGSTOP');
    const running = start('echo ran', '-v');
    await running.says(/connect|scan/i);
    running.child.kill('SIGTSTP');
    await processIs(running.child.pid ?? 0, 'T');
    running.child.kill('SIGCONT');
    host.kill('SIGCONT');
    const ended = await running.ended;
    assert.deepEqual([ended.code, ended.text], [0, 'ran\n'], ended.stderr);
  });

  test('SIGHUP before the command has started gives up', async () => {
    const host = project.host.running.child;
    host.kill('SIGSTOP');
    const running = start('echo ran > ran.txt', '-v');
    await running.says(/connect|scan/i);
    running.child.kill('SIGHUP');
    assert.equal((await running.ended).code, 130, running.stderr);
    host.kill('SIGCONT');
    assert.equal(project.has('ran.txt'), false);
  });
});

describe('a command that was asked to end', { skip: noProc }, () => {
  test('and ignores SIGINT gets SIGTERM after five seconds, and each step is said once', async () => {
    const running = start(
      `trap '' INT; trap 'echo asked; exit 8' TERM; echo ready; while :; do sleep 0.1; done`,
    );
    await running.says(/ready/);
    const askedAt = performance.now();
    running.child.kill('SIGINT');
    const ended = await running.ended;
    assert.ok(performance.now() - askedAt >= 4900);
    assert.deepEqual([ended.code, ended.text], [8, 'ready\nasked\n'], ended.stderr);
    assert.equal(count(running, /^rmtx: asking the command to end/gm), 1);
    assert.equal(count(running, /the host says: SIGTERM/g), 1);
    assert.equal(count(running, /SIGKILL sent/g), 0);
  });

  test('while it is stopped hears of it', async () => {
    const seconds = uniqueSeconds();
    const running = start(`echo ready; exec sleep ${seconds}`);
    await running.says(/ready/);
    await processesStart(seconds, 1);
    const [sleep = 0] = processesWith(seconds);
    process.kill(sleep, 'SIGSTOP');
    await processIs(sleep, 'T');
    const askedAt = performance.now();
    running.child.kill('SIGINT');
    assert.equal((await running.ended).code, 130, running.stderr);
    assert.ok(performance.now() - askedAt < 3000);
  });

  test(
    'and ignores SIGTERM, too, is killed after fifteen seconds',
    { skip: isLong ? false : 'takes 15 s: RMTX_LONG_TESTS=1' },
    async () => {
      const seconds = uniqueSeconds();
      const running = start(`trap '' INT TERM; echo ready; sleep ${seconds}`);
      await running.says(/ready/);
      running.child.kill('SIGINT');
      assert.equal((await running.ended).code, 130, running.stderr);
      for (const said of [/^rmtx: asking/gm, /says: SIGTERM/g, /says: SIGKILL/g])
        assert.equal(count(running, said), 1, running.stderr);
      assert.deepEqual(processesWith(seconds), []);
    },
  );
});
