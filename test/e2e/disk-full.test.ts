import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import {
  cpSync,
  lstatSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { systemErrorCode } from '../../src/errors.js';
import { Rig } from '../support/rig.js';
import type { RigProject } from '../support/rig.js';
import { SmallDisk, noSmallDisks } from '../support/small-disk.js';
import { VisitingClient } from '../support/visiting-client.js';

const skip = noSmallDisks();
const MEGABYTE = 1024 * 1024;

/** Every path of a project and its content's hash, but for what rmtx is free to add. */
function contentOf(root: string): Record<string, string> {
  const entries = readdirSync(root, { recursive: true })
    .map(String)
    .filter((name) => lstatSync(path.join(root, name)).isFile())
    .sort()
    .map((name): [string, string] => [
      name,
      createHash('sha256')
        .update(readFileSync(path.join(root, name)))
        .digest('hex'),
    ]);
  return Object.fromEntries(entries);
}

/** Runs a script that fails for lack of space, and checks that it harms nothing. */
async function failsFull(project: RigProject, script: string, says: RegExp): Promise<void> {
  const before = contentOf(project.root);
  const result = await project.sh(script);
  assert.equal(result.code, 125, result.stderr);
  assert.match(result.stderr, /^rmtx: error: [^\n]*\nrmtx: hint: .*free some space/m);
  assert.match(result.stderr, says);
  assert.doesNotMatch(result.stderr, /\n {4}at /);
  assert.deepEqual(contentOf(project.root), before);
}

async function works(project: RigProject): Promise<void> {
  const result = await project.sh('cat file; echo made > made.txt; echo changed > old.txt');
  assert.deepEqual([result.code, result.text, result.stderr], [0, 'content', '']);
  assert.equal(readFileSync(project.path('made.txt'), 'utf8'), 'made\n');
  assert.equal(readFileSync(project.path('old.txt'), 'utf8'), 'changed\n');
}

/** Dates all in a directory, from which the host may just be removing something, two minutes back. */
function makeOlder(directory: string): void {
  for (const name of readdirSync(directory, { recursive: true }).map(String)) {
    try {
      utimesSync(path.join(directory, name), new Date(), new Date(Date.now() - 120_000));
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
}

const FILES = { file: 'content', 'old.txt': 'old' };

describe('a full disk of the host', { skip }, () => {
  async function onSmallHost(rig: Rig, disk: SmallDisk): Promise<RigProject> {
    const host = await rig.host({ stateDirectory: path.join(disk.directory, 'state') });
    return rig.pairedClient(host).project(FILES, { host });
  }
  const ON_HOST = /^rmtx: error: on the host: no space left on the device of /m;

  test('while files come in, many and one large', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const project = await onSmallHost(rig, disk);
    await works(project);
    const many = Array.from({ length: 250 }, (_, index): [string, Buffer] => [
      `many/f${index}`,
      randomBytes(64 * 1024),
    ]);
    project.write(Object.fromEntries(many));
    await failsFull(project, 'true', ON_HOST);
    rmSync(project.path('many'), { recursive: true });
    await works(project);
    project.write({ large: randomBytes(20 * MEGABYTE) });
    await failsFull(project, 'true', ON_HOST);
    await failsFull(project, 'true', ON_HOST);
    rmSync(project.path('large'));
    await works(project);
    assert.equal((await project.host.stop()).code, 0);
  });

  test('while the results are captured', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const project = await onSmallHost(rig, disk);
    await works(project);
    const script = 'head -c 5000000 /dev/urandom > results; echo more > old.txt';
    const dropped =
      /^rmtx: error: run \w+ was lost: no space left [^\n]*\nrmtx: hint: what it changed is dropped; free some [^\n]* try again$/m;
    await failsFull(project, script, dropped);
    await works(project);
  });

  test('while the command writes: that is its own failure, and what there is comes home', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const project = await onSmallHost(rig, disk);
    const result = await project.sh(
      'head -c 20000000 /dev/zero > "$RMTX_WORKSPACE/too-large" || code=$?; rm -f too-large; echo $code > code; exit $code',
    );
    assert.notEqual(result.code, 0);
    assert.notEqual(result.code, 125, result.stderr);
    assert.equal(readFileSync(project.path('code'), 'utf8'), `${String(result.code)}\n`);
    await works(project);
  });

  test('by the output of a run that nobody visits: it is lost, and the host is not', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 24);
    const project = await onSmallHost(rig, disk);
    const client = new VisitingClient(rig, project.host);
    const visit = await client.sh('seq 4000000; sleep 1000', { isDetached: true });
    const lost = await client.until(visit.id, 'lost');
    assert.match(lost.reason ?? '', /^no space left for the run's output/);
    const back = await client.attach(visit.id, 'visit');
    const { stdoutOffset } = back.attached;
    assert.ok(stdoutOffset > 0);
    const text = String(await back.stdout.whole);
    const [, first = '', second = ''] = text.split('\n');
    assert.equal(Number(second), Number(first) + 1);
    assert.equal(await back.run.ending(), 'ERR_RMTX_RUN_LOST');
    await works(project);
    assert.equal((await project.host.stop()).code, 0);
    client.host = await rig.host({ stateDirectory: project.host.stateDirectory });
    assert.equal((await client.listed(visit.id))?.reason, lost.reason);
  });

  test('does not come of a file that changes every time: older versions make room', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const project = await onSmallHost(rig, disk);
    writeFileSync(path.join(disk.directory, 'other'), Buffer.alloc(5 * MEGABYTE));
    const blobs = path.join(project.host.stateDirectory, 'blobs');
    for (let edit = 0; edit < 20; edit++) {
      project.write({ file: randomBytes(MEGABYTE / 5) });
      const result = await project.sh('true');
      assert.deepEqual([result.code, result.stderr], [0, ''], `edit ${edit}`);
      // What is a minute old may go.
      makeOlder(blobs);
    }
  });

  test('from the first moment on; what frees it can be done', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const project = await onSmallHost(rig, disk);
    await works(project);
    disk.fill();
    await failsFull(project, 'true', ON_HOST);
    for (const args of [['status'], ['clients']])
      assert.equal((await project.host.admin(...args)).code, 0, args[0]);
    for (const args of [
      ['ping'],
      ['context', 'list'],
      ['cache', 'prune'],
      ['context', 'delete', '--current'],
    ]) {
      const result = await project.client.rmtx(args, { cwd: project.root });
      assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
    }
    disk.free();
    await works(project);
    assert.equal((await project.host.stop()).code, 0);
  });
});

describe('a full disk of the client', { skip }, () => {
  test('the project does not take the results: it is as before, and takes smaller ones', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const project = client.project(FILES, { host, root: path.join(disk.directory, 'project') });
    for (const script of [
      'echo more > old.txt; head -c 20000000 /dev/urandom > results',
      'echo more > old.txt; mkdir many; for i in $(seq 20); do head -c 1000000 /dev/urandom > many/$i; done',
    ])
      await failsFull(project, script, /no space|not enough space|free/i);
    assert.deepEqual(readdirSync(project.root).sort(), ['.rmtx.json', 'file', 'old.txt']);
    await works(project);
  });

  test('the home of rmtx is full: nothing is lost, and it works again', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const project = await rig.project(FILES);
    const env = { RMTX_HOME: path.join(disk.directory, 'rmtx') };
    const pair = ['pair', '--host', project.host.address, '--code', await project.host.pairCode()];
    assert.equal((await project.client.rmtx(pair, { env })).code, 0);
    assert.equal((await project.sh('echo 1 > made.txt', { env })).code, 0);
    disk.fill();
    const before = contentOf(project.root);
    const result = await project.sh('echo 2 > made.txt; head -c 5000000 /dev/urandom > big', {
      env,
    });
    const after = contentOf(project.root);
    if (result.code === 0) {
      assert.equal(readFileSync(project.path('made.txt'), 'utf8'), '2\n');
    } else {
      assert.equal(result.code, 125);
      assert.match(result.stderr, /free some space/);
      assert.deepEqual(after, before);
    }
    assert.equal((await project.sh('true', { env })).code, 0);
    disk.free();
    const last = await project.sh('echo 3 > made.txt', { env });
    assert.equal(last.code, 0, last.stderr);
    assert.equal(readFileSync(project.path('made.txt'), 'utf8'), '3\n');
  });

  test('the home of rmtx fills while the command runs: it is said how to get the changes later', async () => {
    await using rig = new Rig();
    using disk = new SmallDisk(rig.newDirectory('disk'), 8);
    const host = await rig.host();
    const client = rig.pairedClient(host);
    const env = { RMTX_HOME: path.join(disk.directory, 'rmtx') };
    cpSync(path.join(client.home, '.rmtx'), env.RMTX_HOME, { recursive: true });
    const project = client.project(FILES, { host });
    const filler = path.join(disk.directory, 'filler');
    const full = await project.sh(`cat /dev/zero >${filler}; echo 2 >made.txt`, { env });
    assert.equal(full.code, 125, full.stderr);
    const said = /no space left .*\nrmtx: hint: .* waits on the host: rmtx attach (\w+)$/m;
    const [, run = ''] = said.exec(full.stderr) ?? [];
    assert.notEqual(run, '', full.stderr);
    disk.free();
    const attached = await client.rmtx(['attach', run], { cwd: project.root, env });
    assert.equal(attached.code, 0, attached.stderr);
    assert.equal(readFileSync(project.path('made.txt'), 'utf8'), '2\n');
  });
});
