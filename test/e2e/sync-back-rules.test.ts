/** Which of the paths that a command changed come home. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { readTree } from '../support/disk-tree.js';
import { PairedRig } from '../support/paired-rig.js';
import { manyFiles, text } from '../support/project-files.js';
import { runReported } from '../support/reported-run.js';

const paired = new PairedRig();

describe('what is not synced', () => {
  test('ignored files of yours survive whatever the command removes or writes in their place', async () => {
    const project = paired.projectWith(
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
    const project = paired.projectWith({ 'a.txt': 'a' }, { ignore: [] });
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
    const project = paired.projectWith({ 'a.txt': 'a' });
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
    const project = paired.projectWith(
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
    const project = paired.projectWith(
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
    const project = paired.projectWith(
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

  test('a new directory on the way to what it names is made and is no reason to complain', async () => {
    const project = paired.projectWith(
      { 'gen/old.ts': 'old', 'target/x': 'x' },
      { sync_back: ['gen/**/*.ts', 'target/*/report.xml'], ignore: ['target/'] },
    );
    const result = await runReported(
      project,
      'mkdir -p gen/new/deep gen/none target/debug; echo t > gen/new/deep/n.ts; echo j > gen/new/n.js; echo r > target/debug/report.xml; echo o > target/debug/o; chmod 700 gen/new',
    );
    assert.deepEqual([result.code, result.problems], [0, []], result.stderr);
    assert.equal(text(project, 'gen/new/deep/n.ts'), 't\n');
    assert.equal(text(project, 'target/debug/report.xml'), 'r\n');
    assert.ok(!project.has('gen/new/n.js') && !project.has('gen/none'));
    assert.deepEqual(readdirSync(project.path('target/debug')), ['report.xml']);
    const next = await runReported(project, 'find gen target 2>/dev/null | sort; rm -r gen/new');
    assert.equal(next.text, 'gen\ngen/new\ngen/new/deep\ngen/new/deep/n.ts\ngen/old.ts\n');
    assert.deepEqual([next.code, next.deleted], [0, ['gen/new/deep/n.ts']], next.stderr);
  });

  test('what comes home only by name does not make the next run send its whole manifest', async () => {
    const project = paired.projectWith(
      { ...manyFiles(500), 'kept/.gitkeep': '' },
      { ignore: ['coverage/'], sync_back: ['**', 'coverage/*.info'] },
    );
    await using proxy = await CuttingProxy.to(paired.host.port);
    const bytesOf = async (script: string): Promise<number> => {
      const result = await project.sh(script, { flags: ['--host', proxy.address] });
      assert.equal(result.code, 0, result.stderr);
      return proxy.carried;
    };
    const cold = await bytesOf('true');
    const warm = await bytesOf('true');
    await bytesOf('mkdir -p coverage/raw; echo x > coverage/lcov.info; echo r > coverage/raw/r');
    assert.ok(project.has('coverage/lcov.info') && !project.has('coverage/raw'));
    const next = await bytesOf('test ! -e coverage');
    assert.ok(next < warm + 500 && next < cold / 4, `${cold} cold, ${warm} warm, then ${next}`);
  });

  test('a file that was there before rmtx first wrote at an ignored path is never replaced', async () => {
    const project = paired.projectWith(
      { 'coverage/lcov.info': 'mine' },
      { ignore: ['coverage/'], sync_back: ['coverage/'] },
    );
    const result = await runReported(project, 'mkdir coverage; echo host > coverage/lcov.info');
    assert.equal(result.code, 122, result.stderr);
    assert.equal(text(project, 'coverage/lcov.info'), 'mine');
  });
});

test('a result that is too deep for any path is said, and the rest comes home', async () => {
  const project = paired.projectWith({ 'a.txt': 'a' });
  const deep = `const fs=require('fs');for(let n=0;n<90;n++){fs.mkdirSync('d'.repeat(50));process.chdir('d'.repeat(50))}fs.writeFileSync('deep','')`;
  const run = await runReported(project, `echo b > b.txt; '${process.execPath}' -e "${deep}"`);
  assert.equal(run.problems.length, 1);
  assert.equal(text(project, 'b.txt'), 'b\n');
});

function json(tree: ReturnType<typeof readTree>): Record<string, unknown> {
  return Object.fromEntries([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}
