import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { readTree } from '../support/disk-tree.js';
import { Gate } from '../support/gate.js';
import { PRINT_FLAT_TREE } from '../support/planned-tree.js';
import { runReported, startReported } from '../support/reported-run.js';
import { Rig } from '../support/rig.js';
import type { RigClient, RigHost, RigProject, Tree } from '../support/rig.js';

let rig: Rig;
let host: RigHost;
let client: RigClient;

before(async () => {
  rig = new Rig();
  host = await rig.host();
  client = await rig.pairedClient(host);
});

after(() => rig[Symbol.asyncDispose]());

function projectWith(files: Tree, config: object = {}): RigProject {
  return client.project(files, { config, host });
}

function manyFiles(count: number, directory = 'src'): Tree {
  return Object.fromEntries(
    Array.from({ length: count }, (_, number) => [`${directory}/f${number}`, `content ${number}`]),
  );
}

function text(project: RigProject, name: string): string {
  return readFileSync(project.path(name), 'utf8');
}

describe('what is not synced', () => {
  test('ignored files of yours survive whatever the command removes or writes in their place', async () => {
    const project = projectWith(
      {
        'build/out.o': 'object',
        'build/secret.local': 'mine',
        'build/deep/er/secret.local': 'mine, deep',
        'cache/entry': 'mine, too',
        'notes/a.txt': 'gone with the run',
        '.gitignore': 'logs/\n*.key\n',
        'logs/today': 'log',
        'id.key': 'key',
      },
      { ignore: ['*.local', '**/*.local', 'cache/'], ignore_gitignore: true },
    );
    const removed = await runReported(project, 'rm -rf build cache logs notes; test ! -e id.key');
    assert.equal(removed.code, 0, removed.stderr);
    assert.deepEqual(Object.keys(json(readTree(project.root))), [
      '.gitignore',
      '.rmtx.json',
      'build',
      'build/deep',
      'build/deep/er',
      'build/deep/er/secret.local',
      'build/secret.local',
      'cache',
      'cache/entry',
      'id.key',
      'logs',
      'logs/today',
    ]);
    const overwritten = await runReported(
      project,
      'mkdir -p build cache/entry logs; echo host > build/secret.local; echo host > cache/x; echo host > id.key; echo host > logs/today; rm -rf logs; echo file > logs',
    );
    assert.equal(text(project, 'build/secret.local'), 'mine');
    assert.equal(text(project, 'cache/entry'), 'mine, too');
    assert.equal(text(project, 'id.key'), 'key');
    assert.equal(text(project, 'logs/today'), 'log');
    assert.ok(!project.has('cache/x'));
    // The run's file `logs` is not ignored (the rule is for directories) and has no place here.
    assert.equal(overwritten.code, 122, overwritten.stderr);
    const copy = overwritten.conflicts['logs'];
    assert.ok(typeof copy === 'string');
    assert.equal(text(project, copy), 'file\n');
  });

  test('nothing is ever written into .git, also where it is sent', async () => {
    const project = projectWith({ 'a.txt': 'a' }, { ignore: [] });
    execFileSync('git', ['init', '-q'], { cwd: project.root });
    mkdirSync(project.path('sub'));
    const before = json(readTree(project.path('.git')));
    const result = await runReported(
      project,
      'test -d .git && echo evil > .git/hooks/post-checkout && rm .git/HEAD && echo "[x]" >> .git/config && mkdir -p sub/.GIT new/.git && echo evil > sub/.GIT/config && echo evil > new/.git/config && echo b > a.txt',
    );
    assert.deepEqual(json(readTree(project.path('.git'))), before);
    assert.equal(text(project, 'a.txt'), 'b\n');
    assert.deepEqual(readdirSync(project.path('sub')), []);
    assert.ok(!project.has('new/.git'));
    assert.equal(result.code, 0, result.stderr);
    // What was done in vain is said.
    const told = result.problems.map(({ path, code }) => `${code} ${path}`);
    assert.deepEqual(told.toSorted(), ['refused .git', 'refused new/.git', 'refused sub/.GIT']);
    assert.match(result.stderr, /warning: \.git: .*never comes back/);
    const next = await project.sh(
      'git rev-parse --is-inside-work-tree && cat .git/HEAD; ls -A sub',
    );
    assert.equal(next.text, `true\n${text(project, '.git/HEAD')}`);
    const looked = await runReported(
      project,
      'git add a.txt; git status >/dev/null; git init -q x',
    );
    assert.deepEqual(
      looked.problems.map(({ path }) => path),
      ['.git', 'x/.git'],
      looked.stderr,
    );
    const onlyLooked = await runReported(project, 'touch a.txt; git status > /dev/null');
    assert.deepEqual([onlyLooked.code, onlyLooked.problems], [0, []]);
  });

  test('the config is not written by a run', async () => {
    const project = projectWith({ 'a.txt': 'a' });
    const config = text(project, '.rmtx.json');
    const result = await runReported(
      project,
      'echo {} > .rmtx.json; echo {} > rmtx.json; echo {} > .rmtx.local.json; echo b > a.txt',
    );
    assert.equal(result.code, 0, result.stderr);
    assert.equal(text(project, '.rmtx.json'), config);
    assert.match(result.stderr, /warning: \.rmtx\.json: .*never comes back/);
    assert.ok(!project.has('rmtx.json') && !project.has('.rmtx.local.json'));
    assert.equal(text(project, 'a.txt'), 'b\n');
    const next = await project.sh('cat .rmtx.json; ls -A');
    assert.equal(next.text, `${config}.rmtx.json\na.txt\n`);
  });

  test('with --no-sync-back the project stays as it is, and so does the next run', async () => {
    const project = projectWith(
      { 'a.txt': 'a', 'd/b.txt': 'b', 'ignored/': '' },
      { ignore: ['out/'] },
    );
    const before = json(readTree(project.root));
    const result = await runReported(
      project,
      'echo x > a.txt; rm -r d; echo n > new; mkdir out; echo o > out/o; exit 3',
      { flags: ['--no-sync-back'] },
    );
    assert.deepEqual([result.code, result.changed, result.deleted], [3, [], []]);
    assert.deepEqual(json(readTree(project.root)), before);
    const next = await runReported(project, 'cat a.txt d/b.txt; ls');
    assert.equal(next.text, 'aba.txt\nd\nignored\n');
    assert.deepEqual(next.changed, []);
  });
});

describe('sync_back', () => {
  test('brings home what it names and nothing else', async () => {
    const project = projectWith(
      { 'src/a.c': 'a', 'gen/x.ts': 'x', 'gen/sub/y.ts': 'y', 'reports/old.xml': 'old' },
      { sync_back: ['gen/**/*.ts', 'reports/'] },
    );
    const result = await runReported(
      project,
      'echo edited > src/a.c; echo 1 > src/new; echo n > gen/x.ts; echo n > gen/z.ts; echo n > gen/z.js; rm gen/sub/y.ts; rm reports/old.xml; mkdir -p reports/deep; echo r > reports/deep/r',
    );
    assert.equal(result.code, 0, result.stderr);
    assert.deepEqual(
      [...readTree(project.root)]
        .flatMap(([at, node]) =>
          node.kind === 'file' && at !== '.rmtx.json' ? [`${at}: ${node.bytes.trim()}`] : [],
        )
        .sort(),
      ['gen/x.ts: n', 'gen/z.ts: n', 'reports/deep/r: r', 'src/a.c: a'],
    );
    // What did not come home is not there in the next run either.
    const next = await project.sh('cat src/a.c; ls src gen reports');
    assert.equal(next.text, 'agen:\nsub\nx.ts\nz.ts\n\nreports:\ndeep\n\nsrc:\na.c\n');
  });

  test('an ignored path that it names comes home, is renewed, is never sent and never deleted here', async () => {
    const project = projectWith(
      { 'a.txt': 'a', '.gitignore': 'coverage/\ndist/\n' },
      { ignore_gitignore: true, sync_back: ['coverage/', '.'] },
    );
    const make = (content: string): string =>
      `test ! -e coverage && mkdir -p coverage/html dist && echo ${content} > coverage/lcov.info && echo ${content} > coverage/html/index.html && echo d > dist/d`;
    const first = await runReported(project, make('one'));
    assert.equal(first.code, 0, first.stderr);
    assert.equal(text(project, 'coverage/lcov.info'), 'one\n');
    assert.ok(!project.has('dist'));
    const second = await runReported(project, make('two'));
    assert.deepEqual([second.code, second.conflicts], [0, {}], second.stderr);
    assert.equal(text(project, 'coverage/html/index.html'), 'two\n');
    // That the host has no such file is no deletion.
    const none = await runReported(project, 'test ! -e coverage');
    assert.deepEqual([none.code, none.deleted], [0, []], none.stderr);
    assert.equal(text(project, 'coverage/lcov.info'), 'two\n');
    // What was edited here since rmtx wrote it is a conflict; the rest is renewed.
    project.write({ 'coverage/lcov.info': 'edited here' });
    const third = await runReported(project, make('three'));
    assert.equal(third.code, 122, third.stderr);
    assert.equal(text(project, 'coverage/lcov.info'), 'edited here');
    assert.equal(text(project, 'coverage/html/index.html'), 'three\n');
    const copy = third.conflicts['coverage/lcov.info'];
    assert.ok(typeof copy === 'string');
    assert.equal(text(project, copy), 'three\n');
  });

  test('a file that was there before rmtx first wrote at an ignored path is never replaced', async () => {
    const project = projectWith(
      { 'coverage/lcov.info': 'mine' },
      { ignore: ['coverage/'], sync_back: ['coverage/'] },
    );
    const result = await runReported(project, 'mkdir coverage; echo host > coverage/lcov.info');
    assert.equal(result.code, 122, result.stderr);
    assert.equal(text(project, 'coverage/lcov.info'), 'mine');
  });
});

describe('the brake on mass deletion', () => {
  test('holds deletions of everything back, says so, and edits still come home', async () => {
    const project = projectWith({ ...manyFiles(40), Makefile: 'all:\n' });
    const result = await runReported(project, 'rm -rf ./*; echo new > new.txt');
    assert.equal(result.code, 122, result.stderr);
    assert.match(result.stderr, /41 deletions .*held back.*--allow-mass-delete/);
    assert.deepEqual(result.deleted, []);
    assert.equal(readdirSync(project.path('src')).length, 40);
    assert.equal(text(project, 'new.txt'), 'new\n');
    // The next run sees what is here.
    const next = await project.sh('ls src | wc -l');
    assert.equal(next.text.trim(), '40');
    const meant = await runReported(project, 'rm -rf src Makefile', {
      flags: ['--allow-mass-delete'],
    });
    assert.equal(meant.code, 0, meant.stderr);
    assert.ok(!project.has('src') && !project.has('Makefile'));
  });

  test('holds back more than 100 deletions that are more than 30 percent, but not a move', async () => {
    const project = projectWith({ ...manyFiles(150), ...manyFiles(300, 'other') });
    const held = await runReported(project, 'rm -rf src');
    assert.equal(held.code, 122, held.stderr);
    assert.equal(readdirSync(project.path('src')).length, 150);
    const moved = await runReported(project, 'mv src moved');
    assert.equal(moved.code, 0, moved.stderr);
    assert.ok(!project.has('src'));
    assert.equal(readdirSync(project.path('moved')).length, 150);
    const few = await runReported(project, 'cd other; ls | head -n 90 | xargs rm');
    assert.equal(few.code, 0, few.stderr);
    assert.equal(readdirSync(project.path('other')).length, 210);
  });
});

describe('attributes', () => {
  test('a mode or a time alone comes home, and nothing is transferred for it', async () => {
    const project = projectWith({ 'run.sh': 'echo', data: 'data', 'd/file': 'x' });
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

  test('files that nobody changed keep inode and times on both sides', async () => {
    const project = projectWith({ 'old.txt': 'old', 'sub/older.txt': 'older', 'edit.txt': 'e' });
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
    const project = projectWith({});
    await using gate = await Gate.in(rig.directory);
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
  const project = projectWith({ 'a.txt': 'a', 'b.txt': 'b', 'c.txt': 'c' });
  await using gate = await Gate.in(rig.directory);
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

function json(tree: ReturnType<typeof readTree>): Record<string, unknown> {
  return Object.fromEntries([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}
