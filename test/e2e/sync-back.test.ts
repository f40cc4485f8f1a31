/** What a project is like after a run: modes, times, and what happened here meanwhile. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { describe, test } from 'node:test';
import { Gate } from '../support/gate.js';
import { PairedRig } from '../support/paired-rig.js';
import { PRINT_FLAT_TREE } from '../support/planned-tree.js';
import { text } from '../support/project-files.js';
import { runReported, startReported } from '../support/reported-run.js';

const paired = new PairedRig();

describe('attributes', () => {
  test('a mode or a time alone comes home, and nothing is transferred for it', async () => {
    const project = paired.projectWith({ 'run.sh': 'echo', data: 'data', 'd/file': 'x' });
    chmodSync(project.path('run.sh'), 0o644);
    const { ino } = statSync(project.path('run.sh'));
    const result = await runReported(
      project,
      'chmod 755 run.sh; touch -d @1400000000.123456 data; chmod 700 d',
    );
    assert.equal(result.code, 0, result.stderr);
    assert.equal(statSync(project.path('run.sh')).mode & 0o777, 0o755);
    assert.equal(statSync(project.path('run.sh')).ino, ino);
    assert.equal(statSync(project.path('d')).mode & 0o777, 0o700);
    assert.equal(statSync(project.path('data')).mtimeMs, 1400000000123.456);
    assert.deepEqual(
      [result.changed.toSorted(), result.downloadedBytes],
      [['d', 'data', 'run.sh'], 0],
    );
    const next = await runReported(project, 'stat -c %a run.sh d; stat -c %y data | cut -d. -f2');
    assert.match(next.text, /^755\n700\n123456/);
    assert.deepEqual([next.changed, next.uploadedBytes], [[], 0]);
  });

  test('a time that no record holds keeps nothing from going there and coming home', async () => {
    const project = paired.projectWith({ far: 'here' });
    utimesSync(project.path('far'), 10_413_792_000, 10_413_792_000);
    const result = await runReported(
      project,
      'stat -c %y far | cut -d- -f1; echo there >>far; touch -d 2200-01-01 far made',
    );
    assert.deepEqual([result.code, result.text], [0, '2112\n'], result.stderr);
    assert.deepEqual(result.changed.toSorted(), ['far', 'made']);
    assert.equal(readFileSync(project.path('far'), 'utf8'), 'herethere\n');
    assert.equal(statSync(project.path('made')).mtime.getUTCFullYear(), 2112);
    const next = await runReported(project, 'true');
    assert.deepEqual([next.code, next.changed, next.uploadedBytes], [0, [], 0], next.stderr);
  });

  test('a time before 1970 goes there and comes home', async () => {
    const project = paired.projectWith({ old: 'here' });
    utimesSync(project.path('old'), '-1000000000.25', '-1000000000.25');
    const result = await runReported(project, 'stat -c %.2Y old; touch -d @-2000000000.125 made');
    assert.deepEqual([result.code, result.text], [0, '-1000000000.25\n'], result.stderr);
    assert.deepEqual(result.changed, ['made']);
    assert.equal(statSync(project.path('made')).mtimeMs, -2_000_000_000_125);
  });

  test('files that nobody changed keep inode and times on both sides', async () => {
    const project = paired.projectWith({
      'old.txt': 'old',
      'sub/older.txt': 'older',
      'edit.txt': 'e',
    });
    utimesSync(project.path('old.txt'), 1_500_000_000.25, 1_500_000_000.25);
    const look = 'stat -c "%n %i %Y %Z" old.txt sub/older.txt';
    const first = await project.sh(look);
    const here = ['old.txt', 'sub/older.txt'].map((name) => lstatSync(project.path(name)));
    await project.sh('echo 1 > edit.txt; echo new > sub/new.txt');
    project.write({ 'edit.txt': 'edited here', 'another.txt': 'x' });
    const last = await project.sh(look);
    assert.equal(last.text, first.text);
    const now = ['old.txt', 'sub/older.txt'].map((name) => lstatSync(project.path(name)));
    assert.deepEqual(
      now.map(({ ino, mtimeMs, ctimeMs }) => [ino, mtimeMs, ctimeMs]),
      here.map(({ ino, mtimeMs, ctimeMs }) => [ino, mtimeMs, ctimeMs]),
    );
  });

  test('what a command wrote has the time at which it wrote it', async () => {
    const project = paired.projectWith({});
    await using gate = await Gate.in(paired.rig.directory);
    const from = Date.now();
    const started = startReported(project, `echo x > made; ${gate.command}`);
    await gate.arrived(started.running);
    const to = Date.now();
    gate.open();
    await started.ended;
    const { mtimeMs } = statSync(project.path('made'));
    // The clock of the kernel's file times ticks every few milliseconds.
    assert.ok(mtimeMs > from - 50 && mtimeMs < to + 50, `${from} ${mtimeMs} ${to}`);
  });
});

test('what is changed here during the run and not by it stays, and the next run has it', async () => {
  const project = paired.projectWith({ 'a.txt': 'a', 'b.txt': 'b', 'c.txt': 'c' });
  await using gate = await Gate.in(paired.rig.directory);
  const started = startReported(project, `echo theirs > a.txt; ${gate.command}`);
  await gate.arrived(started.running);
  project.write({ 'b.txt': 'edited', 'new/n.txt': 'new' });
  execFileSync('rm', [project.path('c.txt')]);
  gate.open();
  const run = await started.ended;
  assert.deepEqual([run.code, run.changed, run.conflicts], [0, ['a.txt'], {}], run.stderr);
  assert.equal(text(project, 'b.txt'), 'edited');
  assert.ok(!existsSync(project.path('c.txt')));
  const next = await project.sh(PRINT_FLAT_TREE);
  assert.deepEqual(JSON.parse(next.text), {
    '.rmtx.json': text(project, '.rmtx.json'),
    'a.txt': 'theirs\n',
    'b.txt': 'edited',
    new: '/',
    'new/n.txt': 'new',
  });
});

test('a project that is moved during the run gets the results where it is; one that is removed says so', async () => {
  const project = paired.projectWith({ 'a.txt': 'a' });
  await using gate = await Gate.in(paired.rig.directory);
  const moved = startReported(project, `echo b > a.txt; ${gate.command}`);
  await gate.arrived(moved.running);
  const elsewhere = `${paired.rig.newDirectory('elsewhere')}/project`;
  renameSync(project.root, elsewhere);
  gate.open();
  assert.equal((await moved.ended).code, 0);
  assert.equal(readFileSync(`${elsewhere}/a.txt`, 'utf8'), 'b\n');
  assert.ok(!existsSync(project.root));

  renameSync(elsewhere, project.root);
  const script = `echo c > a.txt; ${gate.command}`;
  const removed = paired.client.start(['exec', '--', 'sh', '-c', script], { cwd: project.root });
  await gate.arrived(removed);
  rmSync(project.root, { recursive: true });
  gate.open();
  const result = await removed.ended;
  assert.equal(result.code, 125);
  assert.match(result.stderr, /project folder .* was removed while the command ran/);
  assert.ok(!existsSync(project.root));
});
