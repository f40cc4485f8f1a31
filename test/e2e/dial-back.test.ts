/** Hosts whose firewall lets no connection in: they dial back to the client, and to nobody else. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Lan, noFirewall, noLan } from '../support/lan.js';
import { execOn, fingerprintOf, hostOn, lanScene, program, rmtxOn } from '../support/lan-rig.js';
import type { LanScene } from '../support/lan-rig.js';
import { Rig } from '../support/rig.js';
import type { Result } from '../support/rig.js';

const DIALED_BACK = /^rmtx: the host dialled back \(its port cannot be reached from here\)$/m;
/** Put before rmtx: tells of the wait for the port, once it is over, and of what is loaded for a call. */
const WATCH = `
const start = setTimeout;
globalThis.setTimeout = (onTime, delayMs, ...rest) =>
  start((...args) => {
    if (delayMs === 400) process.stderr.write('waited for the port\\n');
    onTime(...args);
  }, delayMs, ...rest);
process.on('exit', () => {
  const isLoaded = Object.keys(require.cache).some((file) => file.endsWith('/dial-back.js'));
  if (isLoaded) process.stderr.write('loaded the call\\n');
});
`;
const WAITED = /^waited for the port$/m;
const LOADED = /^loaded the call$/m;
const skip = noLan() || noFirewall();

function assertSaidOnce({ stderr }: Result): void {
  const count = stderr.split('\n').filter((line) => DIALED_BACK.test(line)).length;
  assert.equal(count, 1, stderr);
}

function watchedExec({ rig, laptop, project }: LanScene): () => Promise<Result> {
  const preload = path.join(rig.newDirectory('preload'), 'watch.cjs');
  writeFileSync(preload, WATCH);
  const env = { NODE_OPTIONS: `--require ${preload}` };
  const options = { cwd: project.root, wrap: laptop.wrap, env };
  return () => project.client.start(['exec', '-v', 'true'], options).ended;
}

describe('a host that lets no connection in', { skip, concurrency: 4 }, () => {
  test('dials back: commands run, at its remembered and at its named address', async () => {
    await using scene = await lanScene();
    const { machine, box, project, laptop } = scene;
    machine.refuseTcp();
    const ran = await execOn(scene, '-v', 'sh', '-c', 'cat a; echo made > made');
    assert.deepEqual([ran.code, ran.text], [0, 'a'], ran.stderr);
    assert.match(ran.stderr, DIALED_BACK);
    assert.match(ran.stderr, /on box \(10\.77\.0\.2:33221\)/);
    assert.equal(project.has('made'), true);
    await box.running.says(/dialled back \S+ at 10\.77\.0\.4, who cannot reach this host's port/);
    const args = ['ping', '-v', '--host', '10.77.0.2'];
    const named = await rmtxOn(laptop, project.client, { args });
    assert.match(named.text, /^online\tbox\t10\.77\.0\.2:33221\t/, named.stderr);
    assert.match(named.stderr, DIALED_BACK);
    const quiet = await execOn(scene, 'true');
    assert.deepEqual([quiet.code, quiet.stderr], [0, '']);
    machine.allow();
    const direct = await execOn(scene, '-v', 'true');
    assert.doesNotMatch(direct.stderr, DIALED_BACK);
  });

  test('is asked at once the next time, and no more once it is reached', async () => {
    await using scene = await lanScene();
    const { machine, laptop } = scene;
    const exec = watchedExec(scene);
    machine.refuseTcp();
    const waited = await exec();
    for (const said of [DIALED_BACK, WAITED, LOADED]) assert.match(waited.stderr, said);
    const remembered = await exec();
    assert.match(remembered.stderr, DIALED_BACK);
    assert.doesNotMatch(remembered.stderr, WAITED);
    // From another address the way may be another one.
    laptop.moveTo('10.77.0.9/24');
    const elsewhere = await exec();
    assert.match(elsewhere.stderr, DIALED_BACK);
    assert.match(elsewhere.stderr, WAITED);

    machine.allow();
    const opened = await exec();
    assert.equal(opened.code, 0, opened.stderr);
    const asked = laptop.countSentUdp(33_222, 5353);
    const direct = await exec();
    assert.deepEqual([direct.code, asked()], [0, 0], direct.stderr);
    assert.doesNotMatch(direct.stderr, DIALED_BACK);
    assert.doesNotMatch(direct.stderr, LOADED);
    // Nor does it ask at once when the host is closed again: nothing of it is remembered.
    machine.refuseTcp();
    const closed = await exec();
    assert.match(closed.stderr, WAITED);
    assert.ok(asked() > 0);
  });

  test('dials back for every command, and each says so once', async () => {
    await using scene = await lanScene();
    const { machine, laptop, project, box } = scene;
    machine.refuseTcp();
    const say = (...args: readonly string[]): Promise<Result> =>
      rmtxOn(laptop, project.client, { args, cwd: project.root });
    const detached = await say('exec', '-d', '-v', 'sh', '-c', 'echo made > made');
    assert.equal(detached.code, 0, detached.stderr);
    for (const args of [
      ['logs', '-v', '-f', 'last'],
      ['pull', '-v', '--run', 'last', 'made'],
      ['attach', '-v', 'last'],
      ['cancel', '-v', 'last'],
      ['pair', '-v', '--host', '10.77.0.2', '--code', await box.pairCode()],
    ]) {
      const said = await say(...args);
      assert.equal(said.code, 0, said.stderr);
      assertSaidOnce(said);
    }
    const quiet = await say('logs', 'last');
    assert.deepEqual([quiet.code, quiet.stderr], [0, '']);
  });

  test('dials back with IPv6 alone, to a link-local address', async () => {
    await using scene = await lanScene({ hasIpv4: false });
    const exec = watchedExec(scene);
    scene.machine.refuseTcp();
    const ran = await exec();
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, DIALED_BACK);
    const again = await exec();
    assert.match(again.stderr, DIALED_BACK);
    assert.doesNotMatch(again.stderr, WAITED);
  });

  test('pairs while it shows a code, and dials no stranger when it does not', async () => {
    await using rig = new Rig();
    using lan = new Lan();
    const machine = lan.machine({ ipv4: '10.77.0.2' });
    const box = await hostOn(rig, machine, 'box');
    const laptop = lan.machine({ ipv4: '10.77.0.4' });
    machine.refuseTcp();
    const client = rig.client();
    const code = await box.pairCode();
    const made = await rmtxOn(laptop, client, { args: ['init', '-v', '--code', code] });
    assert.match(made.text, /^initialized\t\S+\t10\.77\.0\.2:33221\t/, made.stderr);
    assertSaidOnce(made);
    const ran = await rmtxOn(laptop, client, { args: ['exec', 'ls', '-A'], cwd: made.cwd });
    assert.deepEqual([ran.code, ran.text], [0, '.rmtx.json\n'], ran.stderr);

    const neighbour = lan.machine({ ipv4: '10.77.0.5' });
    const caller = neighbour.start(
      process.execPath,
      program('lan-caller'),
      '10.77.0.2',
      await fingerprintOf(box),
      rig.newDirectory('stranger'),
    );
    let told = '';
    caller.stdout?.on('data', (bytes: Buffer) => (told += bytes.toString()));
    try {
      while (!told.includes('called')) await once(caller.stdout ?? caller, 'data');
      machine.allow();
      machine.refuseTcp('reject with tcp reset');
      const args = ['pair', '--host', '10.77.0.2', '--code', code];
      const closed = await rmtxOn(laptop, rig.client(), { args });
      assert.equal(closed.code, 1, closed.stderr);
      assert.match(
        closed.stderr,
        /cannot reach the host at 10\.77\.0\.2:33221 \(ECONNREFUSED\), and it did not dial back when asked to\nrmtx: hint: .*rmtx host pair-code there.*rmtx doctor/,
      );
      assert.equal(told, 'called\n');
    } finally {
      caller.kill('SIGKILL');
      await once(caller, 'close');
    }
  });

  test('is not replaced, nor kept out, by who gets to the client before it', async () => {
    await using scene = await lanScene();
    const { machine, box, rig } = scene;
    const prefix = (await fingerprintOf(box)).slice('sha256:'.length).slice(0, 16);
    await box.stop();
    // Without discovery, so that the impostor alone takes calls.
    const args = ['--listen', ':33221', '--name', 'box'];
    await rig.host({ wrap: machine.wrap, stateDirectory: box.stateDirectory, args });
    machine.ip('addr', 'add', '10.77.0.3/24', 'dev', 'eth0');
    machine.refuseTcp();
    const directory = rig.newDirectory('impostor');
    const impostor = machine.start(
      process.execPath,
      program('lan-impostor'),
      prefix,
      '33221',
      directory,
    );
    let told = '';
    impostor.stdout?.on('data', (bytes: Buffer) => (told += bytes.toString()));
    try {
      while (!told.includes('lying')) await once(impostor.stdout ?? impostor, 'data');
      const ran = await execOn(scene, '-v', '--env', 'SECRET=1', 'cat', 'a');
      assert.deepEqual([ran.code, ran.text], [0, 'a'], ran.stderr);
      assert.match(ran.stderr, DIALED_BACK);
      assert.match(told, /^a neighbour was told 0 bytes$/m);
      assert.match(told, /^another key was told 0 bytes$/m);
    } finally {
      impostor.kill('SIGKILL');
      await once(impostor, 'close');
    }
  });

  test('and a client that lets none in either end in an error that says so', async () => {
    await using scene = await lanScene();
    scene.machine.refuseTcp('reject with tcp reset');
    scene.laptop.refuseTcp();
    const blocked = await execOn(scene, '--host', '10.77.0.2', 'true');
    assert.equal(blocked.code, 125);
    assert.match(
      blocked.stderr,
      /\(ECONNREFUSED\), and it did not dial back when asked to\nrmtx: hint: .*the firewall of this machine keeps it out.*; rmtx doctor finds the cause\n$/,
    );
  });

  test('nor a question ends in an error that says so', async () => {
    await using scene = await lanScene();
    scene.machine.refuseTcp('reject with tcp reset');
    scene.machine.dropUdp(33_222, 5353);
    const silent = await execOn(scene, '--host', '10.77.0.2', 'true');
    assert.equal(silent.code, 125);
    assert.match(
      silent.stderr,
      /\(ECONNREFUSED\), and 10\.77\.0\.2 does not answer on UDP 33222 either, to be asked to dial back\n/,
    );
  });

  test('is not asked where the config wants nothing asked', async () => {
    await using scene = await lanScene();
    scene.machine.refuseTcp('reject with tcp reset');
    scene.project.write({ '.rmtx.json': '{"version":1,"discovery":{"enabled":false}}' });
    const never = await execOn(scene, 'true');
    assert.deepEqual([never.code, /dial/.test(never.stderr)], [125, false], never.stderr);
  });
});
