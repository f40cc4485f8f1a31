import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { LyingClient } from '../support/lying-client.js';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import type { RigProject, RunningRmtx } from '../support/rig.js';
import { processesStart, processesWith, uniqueSeconds } from '../support/processes.js';

const paired = new PairedRig();

const noProc = existsSync('/proc/self/cmdline') ? false : 'needs /proc';

function start(project: RigProject, script: string, ...flags: string[]): RunningRmtx {
  return project.client.start(['exec', ...flags, '--', 'sh', '-c', script], { cwd: project.root });
}

/** A server that takes connections and never says a word. */
async function silentServer(): Promise<{ address: string; close: () => void; met: Promise<void> }> {
  const sockets: net.Socket[] = [];
  let meet = (): void => undefined;
  const met = new Promise<void>((resolve) => (meet = resolve));
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    meet();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, close, met };
}

describe('Ctrl-C before the command has started', () => {
  test('gives up at once while the host does not answer', async () => {
    const project = paired.project();
    const silent = await silentServer();
    const running = start(project, 'echo ran > ran.txt', '--host', silent.address);
    await silent.met;
    const pressedAt = performance.now();
    running.child.kill('SIGINT');
    const ended = await running.ended;
    silent.close();
    assert.deepEqual([ended.code, ended.text], [130, ''], ended.stderr);
    assert.ok(performance.now() - pressedAt < 3000, 'does not wait for the handshake');
    assert.doesNotMatch(ended.stderr, /error/);
  });

  test('gives up in the midst of an upload, and nothing runs', async () => {
    await using rig = new Rig();
    const project = await rig.project({ big: Buffer.alloc(64 * 1024 * 1024, 'x') });
    const child = project.host.running.child;
    const running = start(project, 'echo ran > ran.txt; echo ran', '-v');
    await running.says(/connected in /);
    child.kill('SIGSTOP');
    running.child.kill('SIGINT');
    const ended = await running.ended;
    child.kill('SIGCONT');
    assert.deepEqual([ended.code, ended.text], [130, ''], ended.stderr);
    assert.equal(project.has('ran.txt'), false);
    const after = await project.sh('test ! -e ran.txt && wc -c < big');
    assert.deepEqual([after.code, after.text.trim()], [0, '67108864'], after.stderr);
  });

  test('asked for with the start: the command never starts', async () => {
    const run = await LyingClient.paired(paired.rig, paired.host).connect();
    await run.untilUploaded({ file: 'x' });
    const witness = path.join(paired.rig.directory, 'witness');
    run.start(['touch', witness]);
    run.say({ type: 'stop', isForced: false });
    const { outcome } = await run.next('exited');
    assert.deepEqual(outcome, { kind: 'signalled', exitSignal: 'SIGINT', number: 2 });
    assert.equal((await run.next('change_set')).changes, 0);
    run.say({ type: 'applied' });
    await run.next('acknowledged');
    assert.equal(existsSync(witness), false);
    await run.connection.close();
  });
});

describe('Ctrl-C during a run', { skip: noProc }, () => {
  test('reaches every process; what a trap prints and writes comes home; 130', async () => {
    const project = paired.project();
    const seconds = uniqueSeconds();
    // Not in the background: a shell has what it starts there ignore SIGINT.
    const child = `sh -c 'trap "echo child > child.txt; exit" INT; echo ready; sleep ${seconds}'`;
    const script = `trap 'echo trapped; echo cleaned > cleaned.txt; trap - INT; kill -INT $$' INT; ${child}`;
    const running = start(project, script);
    await running.says(/ready/);
    await processesStart(seconds, 1);
    running.child.kill('SIGINT');
    const ended = await running.ended;
    assert.equal(ended.code, 130, ended.stderr);
    assert.match(ended.text, /^ready\ntrapped\n$/);
    assert.match(ended.stderr, /^rmtx: asking the command to end .*press Ctrl-C again/m);
    assert.equal(readFileSync(project.path('cleaned.txt'), 'utf8'), 'cleaned\n');
    assert.equal(readFileSync(project.path('child.txt'), 'utf8'), 'child\n');
    assert.deepEqual(processesWith(seconds), []);
  });

  test('a command that handles it keeps its own code', async () => {
    const project = paired.project();
    for (const code of [3, 0]) {
      const running = start(
        project,
        `trap 'exit ${code}' INT; echo ready; while :; do sleep 0.1; done`,
      );
      await running.says(/ready/);
      running.child.kill('SIGINT');
      assert.equal((await running.ended).code, code, running.stderr);
    }
  });

  test('twice ends it at once with 130, and what it changed comes home', async () => {
    const project = paired.project();
    const seconds = uniqueSeconds();
    const running = start(
      project,
      `trap '' INT TERM; echo kept > kept.txt; setsid sleep ${seconds} & echo ready; sleep ${seconds}; sleep ${seconds}`,
    );
    await running.says(/ready/);
    await processesStart(seconds, 2);
    running.child.kill('SIGINT');
    await running.says(/asking the command to end/);
    const pressedAt = performance.now();
    running.child.kill('SIGINT');
    const ended = await running.ended;
    assert.equal(ended.code, 130, ended.stderr);
    assert.ok(performance.now() - pressedAt < 4000, 'not only after SIGTERM');
    assert.equal(readFileSync(project.path('kept.txt'), 'utf8'), 'kept\n');
    assert.deepEqual(processesWith(seconds), []);
  });

  test('SIGTERM does the same', async () => {
    const project = paired.project();
    const running = start(
      project,
      `trap 'echo ended > ended.txt; exit 9' INT; echo ready; while :; do sleep 0.1; done`,
    );
    await running.says(/ready/);
    running.child.kill('SIGTERM');
    assert.equal((await running.ended).code, 9, running.stderr);
    assert.equal(project.has('ended.txt'), true);
  });

  test('a third one leaves a host that does not answer', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const seconds = uniqueSeconds();
    const running = start(project, `echo ready; sleep ${seconds}`);
    await running.says(/ready/);
    project.host.running.child.kill('SIGSTOP');
    for (const says of [/^rmtx: asking the command/m, /^rmtx: ending the command at once/m]) {
      running.child.kill('SIGINT');
      await running.says(says);
    }
    running.child.kill('SIGINT');
    assert.equal((await running.ended).code, 130);
    project.host.running.child.kill('SIGCONT');
    assert.equal((await project.host.stop()).code, 0);
    assert.deepEqual(processesWith(seconds), []);
  });
});

describe('a time limit', { skip: noProc }, () => {
  test('ends the command and all of its processes with 124; what it changed comes home', async () => {
    const project = paired.project();
    const seconds = uniqueSeconds();
    const result = await project.sh(
      `echo made > made.txt; setsid sleep ${seconds} & sleep ${seconds}`,
      { flags: ['--timeout', '500ms'] },
    );
    assert.equal(result.code, 124);
    assert.match(result.stderr, /^rmtx: error: sh was ended after 500ms \(--timeout\)$/m);
    assert.equal(readFileSync(project.path('made.txt'), 'utf8'), 'made\n');
    assert.deepEqual(processesWith(seconds), []);
    const inTime = await project.sh('exit 7', { flags: ['--timeout', '1m'] });
    assert.equal(inTime.code, 7);
  });
});

describe('what a command leaves behind', { skip: noProc }, () => {
  const ways: [string, (sleep: string) => string][] = [
    ['a background process', (sleep) => `${sleep} &`],
    ['one that holds the output', (sleep) => `(${sleep}; echo never) & echo out`],
    ['one in a session of its own', (sleep) => `setsid ${sleep} >/dev/null 2>&1 &`],
    ['a daemon of a double fork', (sleep) => `(setsid sh -c '${sleep} & ' >/dev/null 2>&1 &) &`],
    ['one that ignores SIGTERM', (sleep) => `(trap '' TERM INT HUP; ${sleep}; ${sleep}) &`],
    ['one without an environment', (sleep) => `env -i ${sleep} &`],
  ];
  for (const [what, script] of ways)
    test(`${what} is gone when the run is over, and the run keeps its code`, async () => {
      const project = paired.project();
      const seconds = uniqueSeconds();
      const flags = ['-v'];
      const result = await project.sh(`${script(`sleep ${seconds}`)}\nsleep 0.2; exit 4`, {
        flags,
      });
      assert.equal(result.code, 4, result.stderr);
      assert.deepEqual(processesWith(seconds), []);
      assert.match(result.stderr, /process.* left behind/);
      assert.deepEqual(readdirSync(project.root), ['.rmtx.json']);
    });
});
