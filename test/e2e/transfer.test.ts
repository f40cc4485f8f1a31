import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import net from 'node:net';
import { describe, test } from 'node:test';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { PairedRig } from '../support/paired-rig.js';
import { flatTree, PRINT_FLAT_TREE } from '../support/planned-tree.js';
import { runReported, startReported } from '../support/reported-run.js';

const MIB = 1024 * 1024;

const paired = new PairedRig();

/** Random bytes, made of a few so that making them does not take longer than the test. */
function largeFile(bytes: number): Buffer {
  const seed = randomBytes(MIB);
  const large = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at += MIB) {
    seed.writeDoubleLE(Math.random(), 0);
    seed.copy(large, at);
  }
  return large;
}

function flipByte(file: string, at: number): void {
  const fd = openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  writeSync(
    fd,
    byte.map((bits) => bits ^ 0xff),
    0,
    1,
    at,
  );
  closeSync(fd);
}

describe('files that do not hold still', () => {
  test('never fail a run, and what the host gets of each is what it once was', async () => {
    const project = paired.projectWith({ 'still.txt': 'still' });
    project.write({ 'big.log': Buffer.alloc(6 * MIB, 'x\n') });
    const writer = startWriter(project.root);
    try {
      await once(writer.stdout ?? writer, 'data');
      for (let round = 0; round < 3; round++) {
        const run = await runReported(
          project,
          'cat still.txt; tail -c 20000 growing.log; echo; cat replaced.txt 2>/dev/null; wc -c < big.log; rm -f big.log.copy',
        );
        assert.equal(run.code, 0, run.stderr);
        assert.deepEqual([run.conflicts, run.problems, run.changed], [{}, [], []]);
        assert.match(run.text, /^still/);
        assert.match(run.text, /\n(version \d+ end\n)?\d+\n$/);
        // Only ever appended to, so what was sent is how it began.
        const seen = await project.sh('cat growing.log');
        const now = readFileSync(project.path('growing.log'), 'utf8');
        assert.ok(seen.text.length > 0 && now.startsWith(seen.text), 'growing.log is not a prefix');
      }
    } finally {
      writer.kill('SIGKILL');
      await once(writer, 'close');
    }
    const last = await project.sh('cat growing.log replaced.txt');
    assert.equal(
      last.text,
      readFileSync(project.path('growing.log'), 'utf8') +
        readFileSync(project.path('replaced.txt'), 'utf8'),
    );
  });
});

test('what becomes something else before its turn to be sent is sent as that', async () => {
  // Of what a first scan finds, small files are sent as they are found.
  const project = paired.projectWith({});
  await runReported(project, 'true');
  project.write({
    'a-large.bin': largeFile(64 * MIB),
    'b-edited': 'before',
    'b-gone': 'before',
    'b-pipe': 'before',
    'b-tree': 'before',
    'c-linked/in': 'before',
    'd-file/in': 'before',
    'e-same': 'same',
  });
  await using proxy = await CuttingProxy.to(paired.host.port);
  const { running, ended } = startReported(project, 'rm a-large.bin; ' + PRINT_FLAT_TREE, {
    flags: ['--host', proxy.address, '--no-sync-back'],
  });
  await proxy.hasCarried(MIB);
  const change = [
    'echo after > b-edited; rm b-gone b-pipe b-tree; mkfifo b-pipe; mkdir b-tree; echo after > b-tree/in',
    'mv c-linked ../elsewhere; ln -s ../elsewhere c-linked; rm -r d-file; echo after > d-file',
  ];
  assert.equal(spawnSync('sh', ['-c', change.join('; ')], { cwd: project.root }).status, 0);
  assert.ok(proxy.carried < 56 * MIB, 'the change came too late');
  const run = await ended;
  assert.equal(run.code, 0, run.stderr);
  assert.equal(running.child.exitCode, 0);
  const seen = JSON.parse(run.text) as Record<string, string>;
  assert.equal(seen['b-edited'], 'after\n');
  assert.equal(seen['e-same'], 'same');
  assert.equal(seen['c-linked/in'], undefined);
  for (const name of ['b-gone', 'b-pipe']) assert.equal(seen[name], undefined, name);
  // What is new altogether may come with the next run.
  const next = await runReported(project, `rm a-large.bin; ${PRINT_FLAT_TREE}`, {
    flags: ['--no-sync-back'],
  });
  const { 'a-large.bin': _large, 'b-pipe': _pipe, ...here } = flatTree(project.root);
  assert.deepEqual(JSON.parse(next.text), here);
});

/** Appends, replaces, rewrites, makes and removes, as fast as it can; says when it has begun. */
function startWriter(cwd: string): ChildProcess {
  const script = `
    const fs = require('fs');
    const big = fs.openSync('big.log', 'r+');
    for (let n = 0; ; n++) {
      fs.appendFileSync('growing.log', 'line ' + n + '\\n');
      fs.writeFileSync('.new', 'version ' + n + ' end\\n');
      fs.renameSync('.new', 'replaced.txt');
      fs.writeSync(big, 'line ' + n, n % 6000000);
      fs.writeFileSync('rewritten.txt', 'r'.repeat(n % 5000));
      if (n % 2) fs.mkdirSync('comes/and', { recursive: true }), fs.writeFileSync('comes/and/goes', '' + n);
      else fs.rmSync('comes', { recursive: true, force: true });
      if (n === 10) console.log('begun');
    }`;
  return spawn(process.execPath, ['-e', script], { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
}

describe('large files', () => {
  const SIZE = (process.env['RMTX_LONG_TESTS'] === '1' ? 1000 : 70) * MIB;

  test('a byte changed here or there costs a chunk and not the file', async () => {
    const project = paired.projectWith({});
    const file = project.path('large.bin');
    writeFileSync(file, largeFile(SIZE));
    const hash = 'sha256sum < large.bin';
    const hashHere = (): string =>
      spawnSync('sh', ['-c', hash], { cwd: project.root }).stdout.toString();
    const cold = await runReported(project, hash);
    assert.deepEqual([cold.code, cold.text], [0, hashHere()], cold.stderr);
    assert.ok(cold.uploadedBytes >= SIZE);

    flipByte(file, SIZE / 4);
    const edited = await runReported(project, hash);
    assert.deepEqual([edited.code, edited.text], [0, hashHere()], edited.stderr);
    assert.ok(edited.uploadedBytes < 4 * MIB, `${edited.uploadedBytes} bytes sent`);

    const there = await runReported(
      project,
      `printf X | dd of=large.bin bs=1 seek=${SIZE / 2} conv=notrunc 2>/dev/null; ${hash}`,
    );
    assert.deepEqual([there.code, there.text], [0, hashHere()], there.stderr);
    assert.deepEqual([there.changed, there.conflicts], [['large.bin'], {}]);
    assert.ok(there.downloadedBytes < 4 * MIB, `${there.downloadedBytes} bytes received`);
    const warm = await runReported(project, hash);
    assert.deepEqual([warm.text, warm.uploadedBytes, warm.downloadedBytes], [hashHere(), 0, 0]);
  });

  test('an upload that was cut off goes on where it was', async () => {
    const project = paired.projectWith({});
    writeFileSync(project.path('large.bin'), largeFile(SIZE));
    await using proxy = await CuttingProxy.to(paired.host.port);
    const running = paired.client.start(['exec', '--host', proxy.address, '--', 'true'], {
      cwd: project.root,
    });
    await proxy.hasCarried(SIZE / 2);
    running.child.kill('SIGKILL');
    await running.ended;
    const next = await runReported(project, 'sha256sum < large.bin');
    const here = spawnSync('sha256sum', { input: readFileSync(project.path('large.bin')) });
    assert.deepEqual([next.code, next.text], [0, here.stdout.toString()], next.stderr);
    assert.ok(next.uploadedBytes < SIZE * 0.75, `${next.uploadedBytes} bytes sent again`);
  });
});

describe('large files that are new', () => {
  const SIZE = 24 * MIB;

  test('go up once while they are hashed, and are files as any other', async () => {
    const project = paired.projectWith({ 'a/small.txt': 'small', 'z.txt': 'last' });
    project.write({ 'b/large.bin': largeFile(SIZE), 'c.bin': largeFile(5 * MIB) });
    const script = `rm -f made; sha256sum b/large.bin c.bin; ls`;
    const here = (): string =>
      spawnSync('sh', ['-c', script], { cwd: project.root }).stdout.toString();
    const cold = await runReported(project, script);
    assert.deepEqual([cold.code, cold.text, cold.problems], [0, here(), []], cold.stderr);
    assert.ok(cold.uploadedBytes >= SIZE + 5 * MIB && cold.uploadedBytes < SIZE + 6 * MIB);
    const warm = await runReported(project, script);
    assert.deepEqual([warm.text, warm.uploadedBytes], [here(), 0]);
    project.write({ 'd/later.bin': largeFile(SIZE + 1) });
    const later = await runReported(project, `${script}; sha256sum d/later.bin`);
    assert.match(later.text, /d\/later\.bin/);
    assert.ok(later.uploadedBytes > SIZE && later.uploadedBytes < SIZE + MIB);
  });

  test('do not go up where the host has them already', async () => {
    const project = paired.projectWith({ 'a.txt': 'a' });
    const large = largeFile(SIZE);
    project.write({ 'one.bin': large, 'twin.bin': large });
    const cold = await runReported(project, 'cmp one.bin twin.bin');
    assert.deepEqual([cold.code, cold.stderr], [0, '']);
    assert.ok(cold.uploadedBytes < SIZE + MIB, `${cold.uploadedBytes} bytes for twins`);
    renameSync(project.path('one.bin'), project.path('renamed.bin'));
    const renamed = await runReported(project, 'cmp renamed.bin twin.bin');
    assert.deepEqual([renamed.code, renamed.uploadedBytes], [0, 0], renamed.stderr);
    const away = paired.rig.newDirectory('away');
    for (const name of ['renamed.bin', 'twin.bin'])
      renameSync(project.path(name), `${away}/${name}`);
    assert.equal((await project.sh('ls')).text, 'a.txt\n');
    for (const name of ['renamed.bin', 'twin.bin'])
      renameSync(`${away}/${name}`, project.path(name));
    const back = await runReported(project, 'cmp renamed.bin twin.bin');
    assert.deepEqual([back.code, back.uploadedBytes], [0, 0], back.stderr);
  });

  test('survive a cut on their way, and what had come is not sent again', async () => {
    const project = paired.projectWith({});
    project.write({ 'large.bin': largeFile(SIZE) });
    await using proxy = await CuttingProxy.to(paired.host.port);
    proxy.cutAfter = (SIZE * 3) / 4;
    proxy.cutsLeft = 1;
    const run = await runReported(project, 'sha256sum < large.bin', {
      flags: ['--host', proxy.address],
    });
    const here = spawnSync('sha256sum', { input: readFileSync(project.path('large.bin')) });
    assert.deepEqual([run.code, run.text], [0, here.stdout.toString()], run.stderr);
    assert.ok(proxy.connections >= 2);
    assert.ok(proxy.carriedInAll < SIZE * 1.5, `${proxy.carriedInAll} bytes in all`);
  });

  test('end with the run where it is given up', async () => {
    const project = paired.projectWith({});
    project.write({ 'large.bin': largeFile(4 * SIZE) });
    await using proxy = await CuttingProxy.to(paired.host.port);
    const { running, ended } = startReported(project, 'touch ran', {
      flags: ['--host', proxy.address],
    });
    await proxy.hasCarried(MIB);
    running.child.kill('SIGINT');
    assert.equal((await ended).code, 130);
    assert.ok(proxy.carried < 4 * SIZE, 'the interrupt came too late');
  });
});

describe('what need not travel', () => {
  test('a directory that is renamed here or there is not sent again', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 50 }, (_, n) => [`old/d${n % 5}/f${n}`, `content ${n}\n`.repeat(n + 1)]),
    );
    const project = paired.projectWith({ ...files, 'keep.txt': 'k' });
    await project.sh('true');
    renameSync(project.path('old'), project.path('new'));
    const here = await runReported(project, 'ls; cat new/d3/f3');
    assert.deepEqual([here.code, here.uploadedBytes], [0, 0], here.stderr);
    assert.equal(here.text, `keep.txt\nnew\n${'content 3\n'.repeat(4)}`);
    const there = await runReported(project, 'mkdir sub; mv new sub/newer');
    assert.deepEqual([there.code, there.downloadedBytes], [0, 0], there.stderr);
    assert.equal(readFileSync(project.path('sub/newer/d3/f3'), 'utf8'), 'content 3\n'.repeat(4));
    assert.ok(!project.has('new'));
  });

  test('going back to what the host had before sends nothing', async () => {
    const project = paired.projectWith({ 'a.txt': 'one version', 'b/c.txt': 'c' });
    await project.sh('true');
    project.write({ 'a.txt': 'another version' });
    renameSync(project.path('b'), `${paired.rig.newDirectory('away')}/b`);
    assert.equal((await project.sh('cat a.txt')).text, 'another version');
    project.write({ 'a.txt': 'one version', 'b/c.txt': 'c' });
    const back = await runReported(project, 'cat a.txt b/c.txt');
    assert.deepEqual([back.text, back.uploadedBytes], ['one versionc', 0]);
  });
});

test('sockets, FIFOs and devices are left out, which -v says', async () => {
  const project = paired.projectWith({ 'a.txt': 'a', 'd/b.txt': 'b' });
  const server = net.createServer().listen(project.path('d/socket'));
  await once(server, 'listening');
  try {
    assert.equal(spawnSync('mkfifo', [project.path('pipe')]).status, 0);
    const hasDevice = spawnSync('mknod', [project.path('null'), 'c', '1', '3']).status === 0;
    const quiet = await project.sh('ls . d');
    assert.deepEqual([quiet.code, quiet.stderr], [0, '']);
    assert.equal(quiet.text, '.:\na.txt\nd\n\nd:\nb.txt\n');
    const told = await runReported(project, 'mkfifo made; mkdir e; echo x > e/x', {
      flags: ['-v'],
    });
    assert.equal(told.code, 0, told.stderr);
    for (const name of ['d/socket', 'pipe', 'made', ...(hasDevice ? ['null'] : [])])
      assert.match(told.stderr, new RegExp(`rmtx: warning: ${name}: `));
    assert.deepEqual(told.changed.toSorted(), ['e', 'e/x']);
    assert.ok(!project.has('made'));
    // What cannot be sent is not taken for deleted.
    assert.ok(project.has('pipe') && project.has('d/socket'));
  } finally {
    server.close();
    await once(server, 'close');
  }
});

const SMALL_FILES = process.env['RMTX_LONG_TESTS'] === '1' ? 10_000 : 3000;

test(`${SMALL_FILES} small files, cold and warm, there and back`, async () => {
  const project = paired.projectWith({});
  for (let directory = 0; directory < 100; directory++) {
    mkdirSync(project.path(`d${directory}`));
    for (let file = 0; file < SMALL_FILES / 100; file++)
      writeFileSync(project.path(`d${directory}`, `f${file}`), `${directory} ${file}\n`);
  }
  const count = 'cat d*/* | sort | sha256sum';
  const here = spawnSync('sh', ['-c', count], { cwd: project.root }).stdout.toString();
  const cold = await runReported(project, count);
  assert.deepEqual([cold.code, cold.text], [0, here], cold.stderr);
  const warm = await runReported(project, count);
  assert.deepEqual([warm.code, warm.text, warm.uploadedBytes], [0, here, 0], warm.stderr);
  const made = await runReported(
    project,
    'for d in d*; do mkdir "new-$d"; for f in "$d"/*; do echo "made $f" > "new-$f"; done; done',
  );
  assert.deepEqual([made.code, made.changed.length], [0, SMALL_FILES + 100], made.stderr);
  assert.equal(readdirSync(project.path('new-d7')).length, SMALL_FILES / 100);
  assert.equal(readFileSync(project.path('new-d42/f13'), 'utf8'), 'made d42/f13\n');
  assert.equal(statSync(project.path('new-d42')).mode & 0o777, 0o755);
  const after = await runReported(project, PRINT_FLAT_TREE);
  assert.deepEqual([after.code, after.changed, after.uploadedBytes], [0, [], 0], after.stderr);
  assert.deepEqual(JSON.parse(after.text), flatTree(project.root));
});
