import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs, {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, mock, test } from 'node:test';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { EntryTableBuilder } from '../../../src/sync/entry-table-builder.js';
import type { EntryTable } from '../../../src/sync/entry-table.js';
import type { WorkspacePath } from '../../../src/sync/entry.js';
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
    const { table, rules } = await tree.scan({ rules: withGitignore });
    assert.deepEqual(filesOf(table), ['e/y']);
    assert.equal(rules.gitignore?.length, 1);
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

describe('a warm scan', () => {
  test('gives the very same objects and opens no file where nothing is new', async () => {
    using tree = new ProjectTree({
      '.gitignore': 'out/\n*.o\n',
      'src/.gitignore': '!keep.o\n',
      'src/a.ts': 'a',
      'src/a.o': '',
      'src/keep.o': '',
      'src/b.o': '',
      'out/x': '',
    });
    symlinkSync('src', tree.at('link'));
    const rules = rulesWith({ gitignore: [], ignore: ['tmp'], keepOnHost: [':gitignored'] });
    const cold = await tree.settledScan({ rules });
    const opened = mock.method(fs, 'openSync');
    const warm = await tree.scan({ rules, previous: cold });
    opened.mock.restore();
    const contents = opened.mock.calls
      .map((call) => String(call.arguments[0]))
      .filter((file) => !lstatMaybeDirectory(file));
    assert.deepEqual(contents, []);
    assert.equal(warm.hasChanged, false);
    assert.equal(warm.filesHashed, 0);
    assert.equal(warm.table, cold.table);
    assert.equal(warm.rules, cold.rules);
    assert.equal(warm.leftOut, cold.leftOut);
    assert.deepEqual(Object.fromEntries(cold.leftOut), { '': 'dout', src: 'fa.o/fb.o' });
  });

  test('loads neither the packages nor the digests', async () => {
    using tree = new ProjectTree({ '.gitignore': '[o]ut/\n', 'a?b': '', 'out/x': '' });
    const script = `
      const at = (name) => require(${JSON.stringify(path.resolve(__dirname, '../../..'))} + '/' + name);
      const { ProjectTree } = at('test/support/project-tree.js');
      const { AnchoredRoot } = at('src/util/safe-path.js');
      const { scanProject } = at('src/sync/scan.js');
      const { loadScanState } = at('src/sync/scan-state.js');
      const root = AnchoredRoot.open(process.argv[1]);
      const rules = ${JSON.stringify(rulesWith({ gitignore: [], ignore: ['[x]y', '?z'] }))};
      scanProject({ root, rules, previous: loadScanState(process.argv[2]) }).then(({ hasChanged }) => {
        const isHeavy = (file) => /node_modules.(ignore|blake3|@napi-rs|picomatch)/.test(file);
        console.log(JSON.stringify({ hasChanged, loaded: Object.keys(require.cache).filter(isHeavy) }));
      });`;
    const rules = rulesWith({ gitignore: [], ignore: ['[x]y', '?z'] });
    const { saveScanState } = await import('../../../src/sync/scan-state.js');
    using state = new ProjectTree();
    saveScanState(state.path, await tree.settledScan({ rules }));
    const child = spawnSync(process.execPath, ['-e', script, tree.path, state.path], {
      encoding: 'utf8',
    });
    assert.equal(child.stderr, '');
    assert.deepEqual(JSON.parse(child.stdout), { hasChanged: false, loaded: [] });
  });

  test('reads what has changed and nothing else', async () => {
    using tree = new ProjectTree({ a: '1', 'd/b': '2', 'd/c': '3', e: '4' });
    const cold = await tree.settledScan();
    writeFileSync(tree.at('d/b'), 'two');
    tree.remove('e');
    tree.write('d/bb', 'new');
    const warm = await tree.scan({ previous: cold });
    assert.equal(warm.filesHashed, 2);
    assert.equal(warm.bytesHashed, 6);
    assert.deepEqual(pathsOf(warm.table), ['a', 'd', 'd/b', 'd/bb', 'd/c']);
    assert.equal(warm.table.manifestId, (await tree.scan()).table.manifestId);
    assert.deepEqual(warm.table.signature(0), cold.table.signature(0));
  });

  test('sees an edit that keeps size and mtime', async () => {
    using tree = new ProjectTree({ a: 'old' });
    utimesSync(tree.at('a'), 1000, 1000);
    const cold = await tree.settledScan();
    writeFileSync(tree.at('a'), 'new');
    utimesSync(tree.at('a'), 1000, 1000);
    const warm = await tree.scan({ previous: cold });
    assert.equal(warm.table.digest(0), toDigest(hashBytes(Buffer.from('new'))));
  });

  test('sees a file replaced by one with the same times', async () => {
    using tree = new ProjectTree({ a: 'old', b: 'new' });
    for (const name of ['a', 'b']) utimesSync(tree.at(name), 1000, 1000);
    const cold = await tree.settledScan();
    renameSync(tree.at('b'), tree.at('a'));
    const warm = await tree.scan({ previous: cold });
    assert.deepEqual(pathsOf(warm.table), ['a']);
    assert.equal(warm.table.digest(0), toDigest(hashBytes(Buffer.from('new'))));
  });

  test('reads a file again that was written to right before the last scan', async () => {
    using tree = new ProjectTree({ a: 'old' });
    const racy = await tree.scan();
    const before = lstatSync(tree.at('a'));
    writeFileSync(tree.at('a'), 'new');
    // As if both writes had come in one tick: nothing in the times tells them apart.
    const builder = new EntryTableBuilder();
    const now = lstatSync(tree.at('a'));
    const signature = {
      ino: now.ino,
      mtimeUs: mtimeUsOf(now),
      ctimeUs: Math.floor(now.ctimeMs * 1000),
    };
    builder.add(racy.table.entry(0), { ...signature, isRacy: true });
    assert.equal(before.size, now.size);
    const warm = await tree.scan({ previous: { ...racy, table: builder.build() } });
    assert.equal(warm.table.digest(0), toDigest(hashBytes(Buffer.from('new'))));
  });

  test('sees mode, time and kind change', async () => {
    using tree = new ProjectTree({ a: 'x', b: 'x', c: 'x', 'd/x': '', e: 'x' });
    const cold = await tree.settledScan();
    chmodSync(tree.at('a'), 0o755);
    utimesSync(tree.at('b'), 5, 5);
    tree.remove('c');
    tree.write('c/x', '');
    tree.remove('d');
    symlinkSync('a', tree.at('d'));
    chmodSync(tree.at('e'), 0o600);
    chmodSync(tree.at('e'), 0o644);
    const warm = await tree.scan({ previous: cold });
    assert.deepEqual(
      pathsOf(warm.table).map((_, row) => warm.table.kind(row)),
      ['file', 'file', 'directory', 'file', 'symlink', 'file'],
    );
    assert.equal(warm.table.mode(0), 0o755);
    assert.equal(warm.table.mtimeUs(1), 5_000_000);
    assert.equal(warm.table.manifestId, (await tree.scan()).table.manifestId);
  });

  test('judges again below a .gitignore that has changed, and nowhere else', async () => {
    using tree = new ProjectTree({
      'a/.gitignore': 'x\n',
      'a/x': '',
      'a/y': '',
      'b/x': '',
      'b/y': '',
    });
    const cold = await tree.settledScan({ rules: withGitignore });
    assert.deepEqual(filesOf(cold.table), ['a/.gitignore', 'a/y', 'b/x', 'b/y']);
    writeFileSync(tree.at('a/.gitignore'), 'y\n');
    const warm = await tree.settledScan({ rules: withGitignore, previous: cold });
    assert.deepEqual(filesOf(warm.table), ['a/.gitignore', 'a/x', 'b/x', 'b/y']);
    tree.write('.gitignore', 'b\n');
    const next = await tree.settledScan({ rules: withGitignore, previous: warm });
    assert.deepEqual(filesOf(next.table), ['.gitignore', 'a/.gitignore', 'a/x']);
    tree.remove('.gitignore');
    const last = await tree.scan({ rules: withGitignore, previous: next });
    assert.deepEqual(filesOf(last.table), ['a/.gitignore', 'a/x', 'b/x', 'b/y']);
  });

  test('judges all again where the rules are others', async () => {
    using tree = new ProjectTree({ a: '', 'b/c': '', 'd/e': '' });
    const cold = await tree.settledScan({ rules: rulesWith({ ignore: ['d'] }) });
    assert.deepEqual(filesOf(cold.table), ['a', 'b/c']);
    const warm = await tree.scan({ rules: rulesWith({ ignore: ['b'] }), previous: cold });
    assert.deepEqual(filesOf(warm.table), ['a', 'd/e']);
    assert.equal(warm.filesHashed, 1);
    const unknown = { ...cold, rules: undefined };
    const again = await tree.scan({ rules: rulesWith({ ignore: ['b'] }), previous: unknown });
    assert.deepEqual(filesOf(again.table), ['a', 'd/e']);
  });

  test('a name that was left out and is now of another kind is judged again', async () => {
    using tree = new ProjectTree({ 'out/x': '', a: '' });
    const rules = rulesWith({ ignore: ['out/'] });
    const cold = await tree.settledScan({ rules });
    assert.deepEqual(filesOf(cold.table), ['a']);
    tree.remove('out');
    tree.write('out', 'a file');
    assert.deepEqual(filesOf((await tree.scan({ rules, previous: cold })).table), ['a', 'out']);
  });

  test('a row that came home against the rules does not make its path one that is sent', async () => {
    using tree = new ProjectTree({ 'coverage/report': 'x', a: '' });
    const rules = rulesWith({ ignore: ['coverage'], syncBack: ['coverage/'] });
    const cold = await tree.settledScan({ rules });
    const all = await tree.scan();
    const warm = await tree.scan({ rules, previous: { ...cold, table: all.table } });
    assert.deepEqual(filesOf(warm.table), ['a']);
  });

  test('a synced file that is in no row any more is found again beside what is left out', async () => {
    using tree = new ProjectTree({ 'd/a.o': '', 'd/b': '', 'd/c': '' });
    const rules = rulesWith({ ignore: ['d/*.o'] });
    const cold = await tree.settledScan({ rules });
    const previous = { ...cold, table: without(cold.table, 'd/b') };
    assert.deepEqual(filesOf((await tree.scan({ rules, previous })).table), ['d/b', 'd/c']);
  });
});

function lstatMaybeDirectory(file: string): boolean {
  // Directories are opened relative to another's descriptor, which may be closed by now.
  return file.startsWith('/proc/self/fd/') && !/\.(?:ts|o|gitignore)$/.test(file);
}

function without(table: EntryTable, gone: string): EntryTable {
  const builder = new EntryTableBuilder();
  for (let row = 0; row < table.length; row++)
    if (table.path(row) !== (gone as WorkspacePath)) builder.copy(table, row);
  return builder.build();
}

describe('while others write', () => {
  test('a directory that vanishes during the walk is as if it had never been', async () => {
    using tree = new ProjectTree({ 'a/x': '', 'b/y/z': '', c: '' });
    const lstat = mock.method(fs, 'lstatSync', (...args: Parameters<typeof lstatSync>) => {
      const stats = (lstat.mock.restore(), lstatSync(...args));
      fs.rmSync(tree.at('b'), { recursive: true });
      return stats;
    });
    const { table, problems } = await tree.scan();
    assert.deepEqual(pathsOf(table), ['a', 'a/x', 'c']);
    assert.deepEqual(problems, []);
  });

  test('a file swapped for a link to outside is not read', async () => {
    using outside = new ProjectTree({ secret: 'secret' });
    using tree = new ProjectTree({ 'd/a': 'x' });
    const open = mock.method(fs, 'openSync', (...args: Parameters<typeof fs.openSync>) => {
      open.mock.restore();
      fs.rmSync(tree.at('d'), { recursive: true });
      symlinkSync(outside.path, tree.at('d'));
      fs.renameSync(path.join(outside.path, 'secret'), path.join(outside.path, 'a'));
      return fs.openSync(...args);
    });
    const { table, problems } = await tree.scan();
    assert.deepEqual(pathsOf(table), ['d']);
    assert.equal(table.kind(0), 'directory');
    assert.deepEqual(problems, []);
  });
});

test('a scan ends where it is aborted, with the reason given', async () => {
  using tree = new ProjectTree();
  for (let index = 0; index < 40; index++)
    tree.write(`f${index}`, Buffer.alloc(1024 * 1024, index));
  const reason = new Error('enough');
  const abort = new AbortController();
  const ticks: number[] = [];
  // A slice may be long enough for the whole; the second scan is surely not begun.
  const scan = tree.scan({ abortSignal: abort.signal, onProgress: (paths) => ticks.push(paths) });
  abort.abort(reason);
  await Promise.allSettled([scan]);
  await assert.rejects(tree.scan({ abortSignal: abort.signal }), reason);
  assert.deepEqual(
    ticks,
    ticks.toSorted((a, b) => a - b),
  );
});

test('what a scan finds does not depend on what it started from', async () => {
  using tree = new ProjectTree({ 'a/b/c': '1', 'a/d': '2', 'e/f': '3', g: '4' });
  const states = [undefined, await tree.scan(), await tree.settledScan()];
  tree.remove('a/b');
  tree.write('a/b', 'now a file');
  tree.write('a/aa/new', '5');
  tree.write('h', '6');
  writeFileSync(tree.at('e/f'), '33');
  const found = await Promise.all(
    states.map(async (previous) => {
      using root = AnchoredRoot.open(tree.path);
      return (await scanProject({ root, rules: rulesWith({}), previous })).table;
    }),
  );
  assert.deepEqual(
    found.map(pathsOf),
    Array(3).fill(pathsOf(found[0] ?? (await tree.scan()).table)),
  );
  assert.equal(new Set(found.map((table) => table.manifestId)).size, 1);
  assert.equal(readFileSync(tree.at('h'), 'utf8'), '6');
});
