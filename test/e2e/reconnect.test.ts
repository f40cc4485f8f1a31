import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { Gate } from '../support/gate.js';
import { PairedRig } from '../support/paired-rig.js';
import { Rig } from '../support/rig.js';
import type { RigProject, RunningRmtx } from '../support/rig.js';

const paired = new PairedRig();

const MIB = 1024 * 1024;
const LOST = /^rmtx: connection lost; looking for the host.*$/gm;
const FOUND = /^rmtx: connected again after .*$/gm;

interface Scene extends AsyncDisposable {
  readonly project: RigProject;
  readonly proxy: CuttingProxy;
  readonly gate: Gate;
}

/** A project whose host is reached through a proxy. */
async function sceneOf(project: RigProject): Promise<Scene> {
  const proxy = await CuttingProxy.to(project.host.port);
  const gate = await Gate.in(project.client.rig.directory);
  return {
    proxy,
    gate,
    project,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await gate[Symbol.asyncDispose]();
    },
  };
}

function flags({ proxy }: Scene, ...more: readonly string[]): { flags: readonly string[] } {
  return { flags: ['--host', proxy.address, ...more] };
}

function start(scene: Scene, script: string, ...more: readonly string[]): RunningRmtx {
  return scene.project.client.start(
    ['exec', '--host', scene.proxy.address, ...more, '--', 'sh', '-c', script],
    { cwd: scene.project.root },
  );
}

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function count(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].length;
}

/** What the host has on its disk of large files that are not whole. */
function partialBytes({ host }: RigProject): number {
  const blobs = path.join(host.stateDirectory, 'blobs');
  const files = readdirSync(blobs, { recursive: true, encoding: 'utf8' })
    .filter((name) => path.basename(path.dirname(name)) === 'partial')
    .map((name) => statSync(path.join(blobs, name), { throwIfNoEntry: false }));
  return files.reduce((sum, stats) => sum + (stats?.blocks ?? 0) * 512, 0);
}

/** What is kept here of runs that are not settled. */
function ticketsOf({ client }: RigProject): string[] {
  const projects = path.join(client.home, '.rmtx', 'projects');
  return readdirSync(projects).flatMap((name) => {
    const entries = readdirSync(path.join(projects, name));
    return entries.includes('runs') ? readdirSync(path.join(projects, name, 'runs')) : [];
  });
}

describe('a connection that is cut', () => {
  test('in the upload: what was sent is not sent again, and the command runs once', async () => {
    const big = randomBytes(8 * MIB);
    const small = Object.fromEntries(
      Array.from({ length: 200 }, (_, index) => [`src/f${index}`, `content ${index}\n`]),
    );
    await using scene = await sceneOf(paired.project({ big, ...small }));
    const { proxy, project } = scene;
    proxy.cutAfter = 2 * MIB;
    proxy.cutsLeft = 3;
    // What the host has not put on its disk yet goes with the connection.
    proxy.beforeCut = async () => {
      const wanted = (3 - proxy.cutsLeft) * MIB;
      while (partialBytes(project) < wanted) await new Promise((next) => setTimeout(next, 5));
    };
    const result = await project.sh('sha256sum big; ls src | wc -l; echo ran >> ran', flags(scene));
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.text, new RegExp(`^${sha(big)} +big\n *200\n$`));
    assert.equal(readFileSync(project.path('ran'), 'utf8'), 'ran\n');
    assert.equal(proxy.cutsLeft, 0);
    // Each cut costs the chunk of 1 MiB that was on its way.
    assert.ok(proxy.carriedInAll < 12 * MIB, `${proxy.carriedInAll} bytes were carried`);
    // An outage is said where it lasts.
    assert.equal(result.stderr.replaceAll(LOST, '').replaceAll(FOUND, '').trim(), '');
  });

  test('in the output and the input: every byte arrives once, in order', async () => {
    const bytes = randomBytes(8 * MIB);
    await using scene = await sceneOf(paired.project({ bytes }));
    const { proxy, project } = scene;
    assert.equal((await project.sh('true', flags(scene))).code, 0);
    proxy.cutAfter = 2 * MIB;
    const input = randomBytes(8 * MIB);
    const running = project.client.start(
      ['exec', '--host', proxy.address, '--', 'sh', '-c', 'cat bytes >&2 & cat; wait'],
      { cwd: project.root, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const errors: Buffer[] = [];
    running.child.stderr?.on('data', (piece: Buffer) => errors.push(piece));
    running.child.stdin?.end(input);
    const result = await running.ended;
    assert.equal(result.code, 0);
    assert.equal(sha(result.stdout), sha(input));
    assert.equal(sha(Buffer.concat(errors)), sha(bytes));
    assert.ok(proxy.connections > 8, `${proxy.connections} connections`);
  });

  test('with the output held back by whoever reads it: nothing is lost or doubled', async () => {
    const bytes = randomBytes(8 * MIB);
    await using scene = await sceneOf(paired.project({ bytes }));
    const running = start(scene, 'cat bytes');
    const { stdout } = running.child;
    stdout?.pause();
    await scene.proxy.hasCarried(9 * MIB);
    scene.proxy.cut();
    await scene.proxy.hasLetIn(2);
    scene.proxy.cut();
    await scene.proxy.hasLetIn(3);
    stdout?.resume();
    const result = await running.ended;
    assert.equal(result.code, 0, result.stderr);
    assert.equal(sha(result.stdout), sha(bytes));
  });

  test('in the way home: what has arrived is not fetched again', async () => {
    await using scene = await sceneOf(paired.project());
    const { proxy, project } = scene;
    proxy.cutAfter = 2 * MIB;
    const script =
      'head -c 8000000 /dev/urandom > large; mkdir small; for i in $(seq 80); do head -c 50000 /dev/urandom > small/$i; done; cat large small/* | sha256sum';
    const result = await project.sh(script, flags(scene));
    assert.equal(result.code, 0, result.stderr);
    const names = ['large', ...readdirSync(project.path('small')).map((name) => `small/${name}`)];
    assert.equal(names.length, 81);
    const inOrder = names.toSorted((a, b) => (a < b ? -1 : 1));
    assert.equal(
      result.text.split(' ')[0],
      sha(Buffer.concat(inOrder.map((name) => readFileSync(project.path(name))))),
    );
    assert.ok(proxy.connections > 4, `${proxy.connections} connections`);
    assert.ok(proxy.carriedInAll < 24 * MIB, `${proxy.carriedInAll} bytes were carried`);
    assert.deepEqual(ticketsOf(project), []);
  });

  test('anywhere in the last words: the changes are here, and the next run starts from them', async () => {
    await using scene = await sceneOf(paired.project({ a: 'a' }));
    const { proxy, project } = scene;
    const script = 'date +%N > now; cat now';
    assert.equal((await project.sh(script, flags(scene))).code, 0);
    const whole = proxy.carried;
    for (let before = 20; before < 400; before += 38) {
      proxy.cutAfter = whole - before;
      proxy.cutsLeft = 1;
      const result = await project.sh(script, flags(scene));
      assert.equal(result.code, 0, `cut ${before} before the end: ${result.stderr}`);
      assert.equal(readFileSync(project.path('now'), 'utf8'), result.text);
      assert.equal(result.stderr, '');
    }
    assert.deepEqual(ticketsOf(project), []);
  });
});

describe('a host that cannot be reached for a while', () => {
  test('is said once, found again, and the run has gone on meanwhile', async () => {
    await using scene = await sceneOf(paired.project({ a: 'a' }));
    const { proxy, project, gate } = scene;
    const running = start(scene, `echo before; ${gate.command}; echo after; echo made > made`);
    await gate.arrived(running);
    await running.says(/before/);
    await proxy.goDown();
    gate.open();
    await running.says(LOST);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await proxy.comeBack();
    const result = await running.ended;
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.text, 'before\nafter\n');
    assert.equal(readFileSync(project.path('made'), 'utf8'), 'made\n');
    assert.match(
      result.stderr,
      /^rmtx: connection lost; looking for the host \(the run goes on\)\nrmtx: connected again after [\d.]+s\n$/,
    );
  });

  test('is said to those who read JSON, too', async () => {
    await using scene = await sceneOf(paired.project());
    const { proxy, gate } = scene;
    const running = start(scene, `${gate.command}; echo after`, '--json');
    await gate.arrived(running);
    await proxy.goDown();
    gate.open();
    await running.says(/connection-lost/);
    await proxy.comeBack();
    const result = await running.ended;
    assert.equal(result.code, 0, result.stderr);
    const lines = result.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const codes = lines.filter(({ type }) => type === 'notice').map(({ code }) => code);
    assert.equal(codes.filter((code) => code === 'connection-lost').length, 1);
    assert.equal(codes.filter((code) => code === 'connected-again').length, 1);
    assert.equal(lines.at(-1)?.['exit_code'], 0);
  });

  test('a short cut is worth no word, except with -v', async () => {
    await using scene = await sceneOf(paired.project());
    const { proxy, gate } = scene;
    for (const more of [[], ['-v']]) {
      const running = start(scene, gate.command, ...more);
      await gate.arrived(running);
      const before = proxy.connections;
      proxy.cut();
      await proxy.hasLetIn(before + 1);
      gate.open();
      const result = await running.ended;
      assert.equal(result.code, 0, result.stderr);
      const said = count(result.stderr, /^rmtx: the connection was lost; connected again/gm);
      assert.equal(said, more.length, result.stderr);
      assert.equal(count(result.stderr, LOST) + count(result.stderr, FOUND), 0);
    }
  });

  test('longer than the grace: 125, with the way back, and the command is ended', async () => {
    await using scene = await sceneOf(paired.project());
    const { proxy, project } = scene;
    const script = "trap 'echo ended > ended; exit 7' INT; echo ready; while :; do sleep 0.1; done";
    const running = start(scene, script, '--disconnect-grace', '2s');
    await running.says(/ready/);
    await proxy.goDown();
    const result = await running.ended;
    assert.equal(result.code, 125, result.stderr);
    const [, runId = ''] = /rmtx attach (r\w{16})/.exec(result.stderr) ?? [];
    assert.match(
      result.stderr,
      /^rmtx: error: the host could not be reached for 2s: cannot reach the host at .* \(ECONNREFUSED\)\nrmtx: hint: the host ends the command now \(--disconnect-grace\)/m,
    );
    assert.deepEqual(ticketsOf(project), [runId]);
    const attached = await project.client.rmtx(['attach', runId, '--host', project.host.address], {
      cwd: project.root,
    });
    assert.equal(attached.code, 7, attached.stderr);
    assert.equal(attached.text, '');
    assert.equal(readFileSync(project.path('ended'), 'utf8'), 'ended\n');
    assert.deepEqual(ticketsOf(project), []);
  });

  test('Ctrl-C meanwhile is carried out when it is found', async () => {
    await using scene = await sceneOf(paired.project());
    const { proxy, project } = scene;
    const script =
      "trap 'echo trapped > trapped; exit 9' INT; echo ready; while :; do sleep 0.1; done";
    const running = start(scene, script);
    await running.says(/ready/);
    await proxy.goDown();
    await running.says(LOST);
    running.child.kill('SIGINT');
    await running.says(/asking the command to end/);
    await proxy.comeBack();
    const result = await running.ended;
    assert.equal(result.code, 9, result.stderr);
    assert.equal(readFileSync(project.path('trapped'), 'utf8'), 'trapped\n');
  });
});

test('a client that was suspended for longer than the host waits comes back by itself', async () => {
  await using scene = await sceneOf(paired.project());
  const { proxy, project, gate } = scene;
  const running = start(scene, `echo before; ${gate.command}; echo after > after; echo after`);
  await gate.arrived(running);
  await running.says(/before/);
  running.child.kill('SIGSTOP');
  // What the host does with a client that it has not heard of for 20 seconds.
  proxy.cut();
  gate.open();
  running.child.kill('SIGCONT');
  const result = await running.ended;
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.text, 'before\nafter\n');
  assert.equal(project.has('after'), true);
});

test('a host that was killed and is back says what became of the run: 125, and its output', async () => {
  await using rig = new Rig();
  await using scene = await sceneOf(await rig.project());
  const { proxy, project, gate } = scene;
  const running = start(scene, `echo before; echo made > made; ${gate.command}; echo after`);
  await gate.arrived(running);
  await running.says(/before/);
  await project.host.kill();
  const host = await rig.host({ stateDirectory: project.host.stateDirectory });
  proxy.targetPort = host.port;
  const result = await running.ended;
  assert.equal(result.code, 125, result.stderr);
  assert.equal(result.text, 'before\n');
  assert.match(result.stderr, /^rmtx: error: run r\w{16} was lost: /m);
  assert.equal(project.has('made'), false);
  assert.deepEqual(ticketsOf(project), []);
});

test('a run that never started at the host is opened again', async () => {
  await using rig = new Rig();
  await using scene = await sceneOf(await rig.project({ big: randomBytes(20 * MIB) }));
  const { proxy, project } = scene;
  const running = start(scene, 'echo ran >> ran; wc -c < big');
  await proxy.hasCarried(5 * MIB);
  await project.host.kill();
  const host = await rig.host({ stateDirectory: project.host.stateDirectory });
  proxy.targetPort = host.port;
  const result = await running.ended;
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.text.trim(), String(20 * MIB));
  assert.equal(readFileSync(project.path('ran'), 'utf8'), 'ran\n');
});
