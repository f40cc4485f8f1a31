import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { LyingClient } from '../support/lying-client.js';
import { Rig } from '../support/rig.js';
import type { RigClient, RigHost, RunningRmtx } from '../support/rig.js';
import { processesStart, processesWith, uniqueSeconds } from '../support/processes.js';

const noProc = existsSync('/proc/self/cmdline') ? false : 'needs /proc';

/** A run that has started and lasts until something ends it. */
async function startRun(
  rig: Rig,
  script: string,
): Promise<{ host: RigHost; client: RigClient; root: string; running: RunningRmtx }> {
  const project = await rig.project({ 'kept.txt': 'as it was' });
  const { host, client, root } = project;
  const running = client.start(['exec', '--', 'sh', '-c', script], { cwd: root });
  await running.says(/started/);
  return { host, client, root, running };
}

/** Why each run of the host is lost. */
function reasons(host: RigHost): unknown[] {
  const runs = path.join(host.stateDirectory, 'runs');
  return readdirSync(runs).map((id) => {
    const record = JSON.parse(readFileSync(path.join(runs, id, 'record.json'), 'utf8')) as {
      state: string;
      reason?: string;
    };
    return record.state === 'lost' ? record.reason : record.state;
  });
}

describe('a host that is asked to stop', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    test(`${signal} ends an idle one with 0, and nothing of it is left but its state`, async () => {
      await using rig = new Rig();
      const host = await rig.host();
      const client = rig.pairedClient(host);
      assert.equal((await client.rmtx(['ping'])).code, 0);
      host.running.child.kill(signal);
      const ended = await host.running.ended;
      assert.deepEqual([ended.code, ended.signal], [0, null], ended.stderr);
      assert.equal(ended.text, `listening on ${host.address}\n`);
      assert.equal(existsSync(path.join(host.stateDirectory, 'control.sock')), false);
      const again = await rig.host({ stateDirectory: host.stateDirectory });
      assert.equal((await client.rmtx(['ping', '--host', again.address])).code, 0);
    });

  test(
    'ends its runs and everything of theirs; their clients get 125 and the reason',
    { skip: noProc },
    async () => {
      await using rig = new Rig();
      const seconds = uniqueSeconds();
      const script = `echo changed > kept.txt; setsid sleep ${seconds} & (sleep ${seconds} &); echo started; sleep ${seconds}`;
      const { host, client, root, running } = await startRun(rig, script);
      await processesStart(seconds, 3);
      const stopped = await host.stop();
      assert.equal(stopped.code, 0, stopped.stderr);
      assert.deepEqual(processesWith(seconds), []);
      const ended = await running.ended;
      assert.equal(ended.code, 125);
      assert.match(ended.stderr, /^rmtx: error: the host is shutting down/m);
      assert.equal(readFileSync(path.join(root, 'kept.txt'), 'utf8'), 'as it was');
      assert.deepEqual(reasons(host), ['the host was stopped']);

      const again = await rig.host({ stateDirectory: host.stateDirectory });
      assert.doesNotMatch(again.running.stderr, /cut off/);
      const after = await client.rmtx(['exec', '--host', again.address, '--', 'cat', 'kept.txt'], {
        cwd: root,
      });
      assert.deepEqual([after.code, after.text], [0, 'as it was'], after.stderr);
    },
  );

  test('lets a command clean up, and ends one that will not listen', { skip: noProc }, async () => {
    await using rig = new Rig();
    const seconds = uniqueSeconds();
    const cleaned = path.join(rig.directory, 'cleaned');
    const tidy = `trap 'touch ${cleaned}; exit 0' INT TERM; echo started; sleep ${seconds} & wait`;
    const deaf = `trap '' INT TERM; echo started; sleep ${seconds}; sleep ${seconds}`;
    const { host, client, root, running } = await startRun(rig, tidy);
    const second = client.start(['exec', '--', 'sh', '-c', deaf], { cwd: root });
    await second.says(/started/);
    assert.equal((await host.stop()).code, 0);
    assert.equal(existsSync(cleaned), true);
    assert.deepEqual(processesWith(seconds), []);
    assert.equal((await running.ended).code, 125);
    assert.equal((await second.ended).code, 125);
  });

  test(
    'a second SIGINT ends it at once; the next start ends what it left',
    { skip: noProc },
    async () => {
      await using rig = new Rig();
      const seconds = uniqueSeconds();
      const { host, running } = await startRun(
        rig,
        `trap '' INT TERM; echo started; sleep ${seconds}; sleep ${seconds}`,
      );
      host.running.child.kill('SIGINT');
      await host.running.says(/stopping/);
      host.running.child.kill('SIGINT');
      assert.equal((await host.running.ended).code, 130);
      assert.equal((await running.ended).code, 125);
      await rig.host({ stateDirectory: host.stateDirectory });
      assert.deepEqual(processesWith(seconds), []);
    },
  );

  test('does not wait for a client that is in the midst of its preparations', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    const run = await LyingClient.paired(rig, host).connect();
    await run.open();
    assert.equal((await host.stop()).code, 0);
    assert.equal(await run.ending(), 'ERR_RMTX_HOST_STOPPING');
  });
});

describe('a host that is killed', () => {
  test(
    'during a run: the client says so, the next host ends what is left, the next run works',
    { skip: noProc },
    async () => {
      await using rig = new Rig();
      const seconds = uniqueSeconds();
      const { host, client, root, running } = await startRun(
        rig,
        `echo changed > kept.txt; echo made > made.txt; setsid sleep ${seconds} & echo started; sleep ${seconds}`,
      );
      await processesStart(seconds, 2);
      const follower = client.start(['logs', '-f', 'last'], { cwd: root });
      await follower.says(/started/);
      await host.kill();
      assert.equal(processesWith(seconds).length, 2);
      const again = await rig.host({
        stateDirectory: host.stateDirectory,
        args: ['--listen', host.address],
      });
      const ended = await running.ended;
      assert.equal(ended.code, 125);
      assert.match(ended.stderr, /^rmtx: error: run r\w{16} was lost: /m);
      assert.deepEqual(readdirSync(root).sort(), ['.rmtx.json', 'kept.txt']);
      // Whoever only reads gets all there is, and is told that there is no more.
      const read = ['logs', 'last', '--host', again.address];
      for (const logs of [await follower.ended, await client.rmtx(read, { cwd: root })]) {
        assert.deepEqual([logs.code, logs.text], [0, 'started\n']);
        assert.match(logs.stderr, /^rmtx: warning: run r\w{16} was lost: the host ended/m);
      }

      assert.deepEqual(processesWith(seconds), []);
      assert.match(
        again.running.stderr,
        /run r[0-9a-z]{16} was cut off by the host's end; [23] processes ended/,
      );
      assert.match(reasons(again).join(), /^the host ended in the midst of it/);
      const after = await client.rmtx(
        ['exec', '--host', again.address, '--', 'sh', '-c', 'cat kept.txt; ls'],
        { cwd: root },
      );
      assert.deepEqual([after.code, after.text], [0, 'as it waskept.txt\n'], after.stderr);
    },
  );

  test('its lock goes with it, and a start guard that it left is taken over', async () => {
    await using rig = new Rig();
    const host = await rig.host();
    await host.kill();
    assert.ok(existsSync(path.join(host.stateDirectory, 'control.sock')));
    const guard = path.join(host.stateDirectory, 'starting');
    const dead = { pid: 1, startedAt: '', hostName: os.hostname(), bootId: 'before', pidSpace: '' };
    writeFileSync(path.join(guard, 'owner.1'), JSON.stringify(dead));
    const status = await host.admin('status');
    assert.match(status.text, /^running +no$/m);
    const again = await rig.host({ stateDirectory: host.stateDirectory });
    assert.match((await again.admin('status')).text, /^running +yes/m);
    assert.equal((await again.stop()).code, 0);
  });
});

test('a state directory with a path too long for a socket works like any other', async () => {
  await using rig = new Rig();
  const stateDirectory = path.join(rig.newDirectory('host'), 'long'.repeat(25), 'state');
  mkdirSync(stateDirectory, { recursive: true });
  const host = await rig.host({ stateDirectory });
  const client = rig.pairedClient(host);
  const project = client.project({}, { host });
  assert.equal((await project.exec(['true'])).code, 0);
  assert.match((await host.admin('status')).text, /^running +yes/m);
  const second = rig.start(['host', '--listen', '127.0.0.1:0', '--state-dir', stateDirectory], {
    home: rig.newDirectory('home'),
    // Where temporary files go is each process's own affair; whose the directory is, is not.
    env: { TMPDIR: rig.newDirectory('tmp'), XDG_RUNTIME_DIR: rig.newDirectory('run') },
  });
  await assert.rejects(second.says(/listening/), /another rmtx host uses this state directory/);
  assert.equal((await second.ended).code, 1);
  assert.equal((await host.stop()).code, 0);
  assert.equal(readdirSync(stateDirectory).includes('control.sock'), false);
});
