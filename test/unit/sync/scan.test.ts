import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs, { chmodSync, lstatSync, mkdirSync, rmdirSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, mock, test } from 'node:test';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { scanProject } from '../../../src/sync/scan.js';
import { mtimeUsOf } from '../../../src/util/microseconds.js';
import { pathFromBytes } from '../../../src/util/path-bytes.js';
import { AnchoredRoot } from '../../../src/util/safe-path.js';
import { ProjectTree, filesOf, pathsOf, rulesWith } from '../../support/project-tree.js';

const withGitignore = rulesWith({ gitignore: [] });

describe('entries', () => {
  test('of every kind, in walk order', async () => {
    using tree = new ProjectTree({ 'a/b': 'text', 'a.txt': '', 'a/z/deep': 'x' });
    chmodSync(tree.at('a/b'), 0o755);
    mkdirSync(tree.at('empty'));
    chmodSync(tree.at('empty'), 0o1700);
    symlinkSync('nowhere', tree.at('link'));
    symlinkSync('/etc', tree.at('outside'));
    const { table, problems } = await tree.scan();
    assert.deepEqual(pathsOf(table), [
      'a',
      'a/b',
      'a/z',
      'a/z/deep',
      'a.txt',
      'empty',
      'link',
      'outside',
    ]);
    assert.deepEqual(table.entry(1), {
      kind: 'file',
      path: 'a/b',
      mode: 0o755,
      size: 4,
      mtimeUs: mtimeUsOf(lstatSync(tree.at('a/b'))),
      digest: toDigest(hashBytes(Buffer.from('text'))),
    });
    assert.deepEqual(table.entry(5), { kind: 'directory', path: 'empty', mode: 0o700 });
    assert.deepEqual(table.entry(6), { kind: 'symlink', path: 'link', target: 'nowhere' });
    assert.deepEqual(table.entry(7), { kind: 'symlink', path: 'outside', target: '/etc' });
    assert.deepEqual(problems, []);
  });

  test('keep names as they are: not UTF-8, a closing space, a newline, the replacement character', async () => {
    using tree = new ProjectTree();
    const raw = pathFromBytes(Buffer.from('f\xffg', 'latin1'));
    const names = [
      'foo',
      'foo ',
      'new\nline',
      raw,
      '\ufffd',
      'ü',
      `${raw}d/${raw}`,
      `${raw}d/plain`,
    ];
    for (const name of names) tree.write(name, name);
    symlinkSync(Buffer.from('t\xff', 'latin1'), tree.at(`${raw}l`));
    const { table } = await tree.settledScan();
    assert.deepEqual(filesOf(table).toSorted(), [...names, `${raw}l`].sort());
    assert.equal(
      table.target(table.indexOf(`${raw}l`)),
      pathFromBytes(Buffer.from('t\xff', 'latin1')),
    );
    const warm = await tree.scan({ previous: await tree.settledScan() });
    assert.equal(warm.hasChanged, false);
    assert.equal(warm.filesHashed, 0);
  });

  test('of a project whose root is a link', async () => {
    using tree = new ProjectTree({ 'real/a': 'x' });
    symlinkSync('real', tree.at('linked'));
    using root = AnchoredRoot.open(String(tree.at('linked')));
    const { table } = await scanProject({ root, rules: rulesWith({}) });
    assert.deepEqual(pathsOf(table), ['a']);
  });

  test('of an empty project', async () => {
    using tree = new ProjectTree();
    const { table, hasChanged } = await tree.scan();
    assert.equal(table.length, 0);
    assert.equal(hasChanged, true);
  });
});

describe('mounts', () => {
  const mounts = (...paths: string[]): ReturnType<typeof rulesWith> =>
    rulesWith({ mounts: paths.map((one) => ({ path: one, exclude: [] })) });

  test('directories above them are entries, what else is in those is not', async () => {
    using tree = new ProjectTree({ 'a/b/c': '', 'a/other': '', 'b/x': '', top: '' });
    const { table } = await tree.scan({ rules: mounts('a/b', 'b') });
    assert.deepEqual(pathsOf(table), ['a', 'a/b', 'a/b/c', 'b', 'b/x']);
  });

  test('one may be a file or a link', async () => {
    using tree = new ProjectTree({ 'conf/settings.json': '{}', 'conf/secret': '' });
    symlinkSync('conf', tree.at('link'));
    const { table } = await tree.scan({ rules: mounts('conf/settings.json', 'link') });
    assert.deepEqual(pathsOf(table), ['conf', 'conf/settings.json', 'link']);
  });

  test('one that is a FIFO is a problem', async () => {
    using tree = new ProjectTree({ a: '' });
    execFileSync('mkfifo', [String(tree.at('fifo'))]);
    const { table, problems } = await tree.scan({ rules: mounts('a', 'fifo') });
    assert.deepEqual(pathsOf(table), ['a']);
    assert.deepEqual(
      problems.map(({ path: at, code }) => [at, code]),
      [['fifo', 'special-file']],
    );
  });

  test('may lie in each other and overlap', async () => {
    using tree = new ProjectTree({ 'v/drop/x': '', 'v/keep/x': '', 'v/y': '', a: '' });
    const rules = rulesWith({
      mounts: [
        { path: '.', exclude: ['v/**'] },
        { path: 'v/keep', exclude: [] },
        { path: 'v/keep/x', exclude: [] },
      ],
    });
    const cold = await tree.settledScan({ rules });
    assert.deepEqual(pathsOf(cold.table), ['a', 'v', 'v/keep', 'v/keep/x']);
    tree.write('v/new', '');
    const warm = await tree.scan({ rules, previous: cold });
    assert.deepEqual(pathsOf(warm.table), ['a', 'v', 'v/keep', 'v/keep/x']);
    assert.equal(warm.hasChanged, false);
  });

  test('that are missing or behind a link stop the scan', async () => {
    using tree = new ProjectTree({ 'real/dir/a': '' });
    symlinkSync('real', tree.at('linked'));
    await assert.rejects(tree.scan({ rules: mounts('.', 'nothing') }), {
      code: 'ERR_RMTX_MOUNT_MISSING',
      message: 'the mount nothing does not exist',
    });
    await assert.rejects(tree.scan({ rules: mounts('linked/dir') }), {
      code: 'ERR_RMTX_MOUNT_MISSING',
      message: /behind a link/,
    });
    await assert.rejects(tree.scan({ rules: mounts('real/dir/a/b') }), {
      code: 'ERR_RMTX_MOUNT_MISSING',
    });
  });

  test('the .gitignore files above them count', async () => {
    using tree = new ProjectTree({ '.gitignore': '*.o\n', 'a/.gitignore': '*.p\n', 'a/b/x.o': '' });
    tree.write('a/b/x.p', '');
    tree.write('a/b/x.q', '');
    const rules = { ...mounts('a/b'), gitignore: [] };
    const cold = await tree.settledScan({ rules });
    assert.deepEqual(filesOf(cold.table), ['a/b/x.q']);
    assert.equal((await tree.scan({ rules, previous: cold })).hasChanged, false);
    tree.remove('.gitignore');
    const warm = await tree.scan({ rules, previous: cold });
    assert.deepEqual(filesOf(warm.table), ['a/b/x.o', 'a/b/x.q']);
  });
});

describe('rules', () => {
  test('what is ignored is not entered', async () => {
    using tree = new ProjectTree({
      '.git/HEAD': '',
      'sub/.git/HEAD': '',
      'out/a': '',
      'src/a': '',
    });
    const listed = mock.method(fs, 'readdirSync');
    const rules = rulesWith({ ignore: ['.git/**', '**/.git', 'out/'], keepOnHost: ['src'] });
    const { table } = await tree.scan({ rules });
    listed.mock.restore();
    assert.deepEqual(pathsOf(table), ['sub']);
    const entered = listed.mock.calls.map((call) =>
      path.relative(tree.path, String(call.arguments[0])),
    );
    assert.deepEqual(entered, ['', 'sub']);
  });

  test("the .git file of a linked worktree is ignored by the directory's pattern", async () => {
    using tree = new ProjectTree({ '.git': 'gitdir: /elsewhere\n', a: '' });
    const { table } = await tree.scan({ rules: rulesWith({ ignore: ['.git/**'] }) });
    assert.deepEqual(pathsOf(table), ['a']);
  });

  test('the .gitignore files found are part of the result, parents first', async () => {
    using tree = new ProjectTree({ 'b/c/.gitignore': 'c', '.gitignore': 'a', 'b/.gitignore': 'b' });
    const given = { directory: '', source: '/home/ignore', text: 'x' };
    const { rules } = await tree.scan({ rules: rulesWith({ gitignore: [given] }) });
    assert.deepEqual(
      rules.gitignore?.map(({ source }) => source),
      ['/home/ignore', '.gitignore', 'b/.gitignore', 'b/c/.gitignore'],
    );
  });

  test('a .gitignore that is itself ignored, a link or a directory', async () => {
    using tree = new ProjectTree({ '.gitignore': '.gitignore\nx\n', x: '', 'd/x': '', 'e/y': '' });
    symlinkSync('../.gitignore', tree.at('e/.gitignore'));
    tree.write('f/.gitignore/y', '');
    const cold = await tree.settledScan({ rules: withGitignore });
    const warm = await tree.scan({ rules: withGitignore, previous: cold });
    for (const { table, rules, problems } of [cold, warm]) {
      assert.deepEqual(filesOf(table), ['e/y']);
      assert.equal(rules.gitignore?.length, 1);
      assert.deepEqual(
        problems.map(({ path: at, message }) => `${at} ${message}`),
        [
          'e/.gitignore is a link, which is not followed here (nor by git), so what it ignores is not known',
        ],
      );
    }
  });

  test('one too large to be read is a problem', async () => {
    using tree = new ProjectTree({ a: '' });
    tree.write('.gitignore', Buffer.alloc(5 * 1024 * 1024, '\n'));
    const { problems } = await tree.scan({ rules: withGitignore });
    assert.deepEqual(
      problems.map((problem) => problem.path),
      ['.gitignore'],
    );
  });
});

describe('what cannot be synced', () => {
  test('a FIFO, a socket and a device are problems, every time, unless they are ignored', async () => {
    using tree = new ProjectTree({ a: '' });
    for (const name of ['fifo', 'ignored']) execFileSync('mkfifo', [String(tree.at(name))]);
    const server = createServer().listen(path.join(tree.path, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    const rules = rulesWith({ ignore: ['ignored'] });
    const cold = await tree.settledScan({ rules });
    const warm = await tree.scan({ rules, previous: cold });
    server.close();
    for (const { problems, table } of [cold, warm]) {
      assert.deepEqual(pathsOf(table), ['a']);
      assert.deepEqual(
        problems.map(({ path: at, message }) => `${at} ${message}`),
        ['fifo is a FIFO and is not synced', 'socket is a socket and is not synced'],
      );
    }
  });

  test('unreadable files and directories are problems, and are tried again', () => {
    using tree = new ProjectTree({ 'closed/a': '', open: '', secret: 'x' });
    chmodSync(tree.at('closed'), 0o311);
    chmodSync(tree.at('secret'), 0);
    const answer = scanAsNobody(tree.path);
    assert.deepEqual(answer, {
      paths: ['closed', 'open'],
      problems: [
        'closed unreadable cannot be read (EACCES)',
        'secret unreadable cannot be read (EACCES)',
      ],
      again: ['closed', 'open', 'secret'],
    });
  });

  test('a path too long for the system is a problem', async () => {
    using tree = new ProjectTree();
    const name = 'd'.repeat(250);
    const start = process.cwd();
    try {
      process.chdir(tree.path);
      for (let depth = 0; depth < 17; depth++) {
        mkdirSync(name);
        process.chdir(name);
      }
    } finally {
      process.chdir(start);
    }
    const { problems, table } = await tree.scan();
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.message ?? '', /ENAMETOOLONG/);
    assert.ok(table.length >= 14);
    removeDeep(tree.path, name);
  });
});

/** Scans as a user that file modes apply to; then again with the file readable. */
function scanAsNobody(directory: string): unknown {
  const script = `
    const { chmodSync } = require('node:fs');
    const at = (name) => require(${JSON.stringify(path.resolve(__dirname, '../../../src'))} + '/' + name);
    const { scanProject } = at('sync/scan.js');
    const { AnchoredRoot } = at('util/safe-path.js');
    const root = AnchoredRoot.open(${JSON.stringify(directory)});
    const rules = ${JSON.stringify(rulesWith({}))};
    const paths = (table) => Array.from({ length: table.length }, (_, row) => table.path(row));
    (async () => {
      const first = await scanProject({ root, rules });
      chmodSync(${JSON.stringify(path.join(directory, 'secret'))}, 0o644);
      const second = await scanProject({ root, rules, previous: first });
      const problems = first.problems.map((p) => p.path + ' ' + p.code + ' ' + p.message);
      console.log(JSON.stringify({ paths: paths(first.table), problems, again: paths(second.table) }));
    })();`;
  const nobody = 65534;
  const isRoot = process.getuid?.() === 0;
  if (isRoot) execFileSync('chown', ['-R', `${nobody}:${nobody}`, directory]);
  const child = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    ...(isRoot ? { uid: nobody, gid: nobody } : {}),
  });
  assert.equal(child.stderr, '');
  return JSON.parse(child.stdout);
}

/** Paths too long to be named are removed from within. */
function removeDeep(top: string, name: string): void {
  const start = process.cwd();
  process.chdir(top);
  let depth = 0;
  for (; fs.existsSync(name); depth++) process.chdir(name);
  for (; depth > 0; depth--) {
    process.chdir('..');
    rmdirSync(name);
  }
  process.chdir(start);
}
