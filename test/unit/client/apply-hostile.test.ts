/** A host that lies: what it says is refused before it has any effect, and each refusal is told. */
import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { ManifestChange, WorkspacePath } from '../../../src/sync/entry.js';
import {
  applyTree,
  changesTo,
  entryOf,
  fetchFrom,
  makeRig,
  readContents,
  readTree,
  remove,
  scanTable,
} from '../../support/apply-rig.js';
import { NO_RULES } from '../../../src/sync/rule-sources.js';
import type { Node, Tree } from '../../support/apply-rig.js';

const upsert = (name: string, node: Node = 'evil'): ManifestChange => ({
  type: 'upsert',
  entry: entryOf(name, node),
});
const deletion = (name: string): ManifestChange => ({
  type: 'delete',
  path: name as WorkspacePath,
});
const patched = (name: string, patch: object): ManifestChange => ({
  type: 'upsert',
  entry: { ...entryOf(name, 'evil'), ...patch },
});
const evil = fetchFrom({ x: 'evil' });

describe('a message that no working host sends is refused whole', () => {
  const cases: Record<string, ManifestChange[]> = {
    'a path out of the project': [upsert('../x')],
    'an absolute path': [upsert('/etc/x')],
    'a path with .. inside': [upsert('a/../../x')],
    'an empty path': [upsert('')],
    'a path with an empty name': [upsert('a//b')],
    'a dot': [upsert('.')],
    'a NUL': [upsert('a\0b')],
    'a name over 255 bytes': [upsert('n'.repeat(256))],
    'a path over 4096 bytes': [upsert('n/'.repeat(2100) + 'n')],
    'paths out of order': [upsert('b'), upsert('a')],
    'a path twice': [upsert('a'), upsert('a')],
    'a path deleted and made': [deletion('a'), upsert('a')],
    'a set-uid mode': [patched('a', { mode: 0o4755 })],
    'a sticky mode': [patched('a', { mode: 0o1777 })],
    'a negative size': [patched('a', { size: -1 })],
    'a size beyond counting': [patched('a', { size: 2 ** 60 })],
    'a time beyond counting': [patched('a', { mtimeUs: 2 ** 53 })],
    'no time': [patched('a', { mtimeUs: Number.NaN })],
    'a digest that is none': [patched('a', { digest: 'blake3:../../x' })],
    'a link to nothing': [upsert('a', { link: '' })],
    'a link with a NUL': [upsert('a', { link: 'x\0y' })],
    'a good change before a bad one': [upsert('a'), upsert('b/../c')],
  };
  for (const [name, changes] of Object.entries(cases))
    test(name, async () => {
      using rig = makeRig({ keep: 'k' });
      const before = readTree(rig.project);
      const apply = applyTree(rig, { theirs: {}, changes, fetch: evil });
      await assert.rejects(apply, { code: 'ERR_RMTX_BAD_MESSAGE' });
      assert.deepEqual(readTree(rig.project), before);
      assert.equal(existsSync(path.join(rig.home, 'stage')), false);
    });
});

describe('a path that no host may write is left out and told', () => {
  const refused: Record<string, ManifestChange> = {
    'a hook of git': upsert('.git/hooks/pre-commit'),
    'git settings': upsert('.git/config'),
    '.git in other letters': upsert('.GIT/config'),
    '.git in mixed letters further down': upsert('sub/.Git/config'),
    '.git with a character that HFS+ leaves out': upsert('.g\u200cit/config'),
    '.git as a file': upsert('sub/.git'),
    'a link called .git': upsert('sub/.git', { link: 'a' }),
    'the config': upsert('.rmtx.json'),
    'the other config': upsert('rmtx.json'),
    'the personal config': upsert('.rmtx.local.json'),
    'the config in other letters': upsert('.RMTX.json'),
    'a stage': upsert('.rmtx-stage-r1/0'),
    'a stage further down': upsert('a/.rmtx-stage-r1'),
    'a conflict copy': upsert('a.rmtx-conflict-r1'),
    'something in a conflict copy': upsert('a.rmtx-conflict-r1/x'),
    'an ignored path': upsert('node_modules/x'),
    'a kept path': upsert('target/x'),
    'a path in no mount': upsert('outside/x'),
    'a deletion of what was never sent': deletion('never'),
    'a deletion of an ignored path': deletion('node_modules/secret'),
    'a deletion in .git': deletion('.git/HEAD'),
    'a link to an absolute place': upsert('in/l', { link: '/etc/passwd' }),
    'a link out of the project': upsert('in/l', { link: '../../x' }),
    'a link out of the project through a name': upsert('in/l', { link: 'a/../../..' }),
    'a link that turns back after a name': upsert('in/l', { link: 'a/../b' }),
  };
  const project: Tree = {
    '.git/HEAD': 'ref',
    '.rmtx.json': '{}',
    'in/a': '1',
    'node_modules/secret': 's',
    'outside/o': 'o',
    target: { directoryMode: 0o755 },
  };
  const rules = {
    ...NO_RULES,
    mounts: ['.git', 'a', 'a.rmtx-conflict-r1', 'in', 'never', 'sub'].map((at) => ({
      path: at,
      exclude: [],
    })),
    ignore: ['node_modules/'],
    keepOnHost: ['target/'],
  };
  for (const [name, change] of Object.entries(refused))
    for (const mounts of [rules.mounts, [{ path: '.', exclude: ['outside/'] }]])
      test(`${name}, ${mounts.length === 1 ? 'the whole project' : 'some folders'} mounted`, async () => {
        using rig = makeRig(project);
        const table = scanTable(rig.project, (at) => at.startsWith('in') || at.startsWith('.git'));
        const before = readTree(rig.project);
        const report = await applyTree(rig, {
          theirs: {},
          changes: [change],
          table,
          rules: { ...rules, mounts },
          fetch: evil,
        });
        assert.deepEqual(readTree(rig.project), before);
        const at = change.type === 'upsert' ? change.entry.path : change.path;
        assert.deepEqual(
          report.problems.map((problem) => [problem.path, problem.code]),
          [[at, 'refused']],
        );
        assert.ok((report.problems[0]?.message.length ?? 0) > 20);
      });

  test('and everything else of the same change set is applied', async () => {
    using rig = makeRig({ '.git/HEAD': 'ref', a: '1' });
    const table = scanTable(rig.project);
    const changes = [deletion('.git/HEAD'), upsert('.git/config'), upsert('a'), upsert('b')];
    const report = await applyTree(rig, { theirs: {}, changes, table, fetch: evil });
    assert.deepEqual(readContents(rig.project), { '.git/HEAD': 'ref', a: 'evil', b: 'evil' });
    assert.equal(report.problems.length, 2);
  });
});

describe('a link', () => {
  test('that stays in the project comes home as it is, and nobody asks where it leads', async () => {
    using rig = makeRig({ 'd/e/f': '1' });
    const links = {
      up: { link: 'd/e' },
      'd/e/l': { link: '../../nowhere' },
      'd/m': { link: './e/./f' },
    };
    const report = await applyTree(rig, { theirs: { 'd/e/f': '1', ...links } });
    assert.deepEqual(report.problems, []);
    assert.equal(readContents(rig.project)['d/e/l'], '-> ../../nowhere');
  });

  test('out of the project that the user already has stays', async () => {
    using rig = makeRig({ l: { link: '/opt/tool' }, a: '1' });
    const report = await applyTree(rig, { theirs: { l: { link: '/opt/tool' }, a: '2' } });
    assert.deepEqual(report.problems, []);
    assert.equal(readContents(rig.project)['l'], '-> /opt/tool');
  });

  test('and a file below it in one change set: the file is refused', async () => {
    using rig = makeRig({ a: '1', outside: { directoryMode: 0o755 } });
    const changes = [upsert('l', { link: 'outside' }), upsert('l/x')];
    const report = await applyTree(rig, { theirs: {}, changes, fetch: evil });
    assert.deepEqual(readContents(rig.project), { a: '1', l: '-> outside' });
    assert.deepEqual(
      report.problems.map((problem) => problem.path),
      ['l/x'],
    );
    assert.deepEqual(readdirSync(path.join(rig.project, 'outside')), []);
  });

  test('of an earlier run, and a file below it now: the file is refused', async () => {
    using rig = makeRig({ a: '1', outside: { directoryMode: 0o755 } });
    const first = await applyTree(rig, {
      theirs: {},
      changes: [upsert('l', { link: 'outside' })],
      fetch: evil,
    });
    const second = await applyTree(rig, {
      theirs: {},
      changes: [upsert('l/x')],
      table: first.table,
      runId: 'r2',
      fetch: evil,
    });
    assert.deepEqual(
      second.problems.map((problem) => problem.path),
      ['l/x'],
    );
    assert.deepEqual(readdirSync(path.join(rig.project, 'outside')), []);
  });

  test('in the place of a directory that was sent is not followed, for writes, modes or deletions', async () => {
    using rig = makeRig({ 'd/a': '1', 'd/b': '2', 'd/c': '3', e: 'x' });
    using outside = makeRig({ a: 'secret', b: 'secret', c: 'secret' });
    const table = scanTable(rig.project);
    remove(rig.project, 'd');
    symlinkSync(outside.project, path.join(rig.project, 'd'));
    const theirs = { 'd/a': 'evil', 'd/c': { content: '3', mode: 0o777 }, 'd/new': 'evil', e: 'x' };
    const report = await applyTree(rig, { theirs, table });
    assert.deepEqual(readTree(outside.project), {
      a: '644 1600000000000 secret',
      b: '644 1600000000000 secret',
      c: '644 1600000000000 secret',
    });
    assert.deepEqual(
      report.conflicts.map(({ path: at, kind }) => `${at} ${kind}`),
      ['d/a blocked', 'd/new blocked'],
    );
    assert.equal(readFileSync(path.join(rig.project, 'd.rmtx-conflict-r1/a'), 'utf8'), 'evil');
  });

  test('swapped in for a directory while the content is fetched is not followed', async () => {
    using rig = makeRig({ 'd/a': '1', 'd/b': '2', e: 'x' });
    using outside = makeRig({ a: 'secret', b: 'secret' });
    const fetch = fetchFrom({ a: 'evil' });
    await applyTree(rig, {
      theirs: { 'd/a': 'evil', 'd/new': 'evil', e: 'x' },
      fetch: async (wanted, sink) => {
        await fetch(wanted, sink);
        renameSync(path.join(rig.project, 'd'), path.join(rig.project, 'moved'));
        symlinkSync(outside.project, path.join(rig.project, 'd'));
      },
    });
    assert.deepEqual(readContents(outside.project), { a: 'secret', b: 'secret' });
  });
});

test('an entry below a file of the manifest is refused', async () => {
  using rig = makeRig({ f: '1' });
  const report = await applyTree(rig, { theirs: {}, changes: [upsert('f/x')], fetch: evil });
  assert.deepEqual(
    report.problems.map((problem) => problem.path),
    ['f/x'],
  );
  assert.deepEqual(readContents(rig.project), { f: '1' });
});

test('an entry below a deleted directory is refused', async () => {
  using rig = makeRig({ 'd/a': '1', b: '' });
  const changes = [deletion('d'), upsert('d/x')];
  const report = await applyTree(rig, { theirs: {}, changes, fetch: evil });
  assert.deepEqual(
    report.problems.map((problem) => problem.path),
    ['d/x'],
  );
  assert.deepEqual(readContents(rig.project), { 'd/a': '1', b: '' });
});

test('ignored files survive whatever the host deletes around them', async () => {
  using rig = makeRig({ 'build/secret.local': 'mine', 'build/out': '1', b: '' });
  const rules = { ...NO_RULES, ignore: ['*.local', '**/*.local'] };
  const table = scanTable(rig.project, (at) => !at.endsWith('.local'));
  const changes = [deletion('build'), deletion('build/out'), deletion('build/secret.local')];
  const report = await applyTree(rig, { theirs: {}, changes, table, rules, fetch: evil });
  assert.deepEqual(readContents(rig.project), { b: '', 'build/secret.local': 'mine' });
  assert.deepEqual(
    report.problems.map((problem) => problem.path),
    ['build/secret.local'],
  );
});

test('a size that no disk has room for changes nothing', async () => {
  using rig = makeRig({ a: '1' });
  const before = readTree(rig.project);
  const apply = applyTree(rig, {
    theirs: {},
    changes: [patched('b', { size: 2 ** 52 })],
    fetch: () => Promise.reject(new Error('nothing is to be fetched')),
  });
  await assert.rejects(apply, { code: 'ERR_RMTX_DISK_FULL' });
  assert.deepEqual(readTree(rig.project), before);
  assert.deepEqual(readdirSync(path.join(rig.home, 'stage')), []);
});

test('a run id that is no file name is refused', async () => {
  using rig = makeRig({ a: '1' });
  for (const runId of ['../x', 'a/b', '', '.', '-x\n', 'r'.repeat(65)]) {
    const apply = applyTree(rig, { theirs: { a: '2' }, runId });
    await assert.rejects(apply, { code: 'ERR_RMTX_BAD_MESSAGE' });
  }
  assert.deepEqual(readContents(rig.project), { a: '1' });
});

test('a FIFO in the way is neither opened nor replaced', async () => {
  using rig = makeRig({ b: '1' });
  const { execFileSync } = await import('node:child_process');
  execFileSync('mkfifo', [path.join(rig.project, 'pipe')]);
  const table = scanTable(rig.project, (at) => at === 'b');
  const report = await applyTree(rig, { theirs: { b: '1', pipe: 'evil' }, table });
  assert.ok(lstatSync(path.join(rig.project, 'pipe')).isFIFO());
  assert.deepEqual(report.conflicts, [
    { path: 'pipe', kind: 'kind-differs', keptTheirsAs: 'pipe.rmtx-conflict-r1' },
  ]);
});

test('depth and number do not matter: ten thousand refused paths are ten thousand problems', async () => {
  using rig = makeRig({ a: '1' });
  const changes = Array.from({ length: 10_000 }, (_, index) =>
    deletion(`.git/${String(index).padStart(5, '0')}`),
  );
  const report = await applyTree(rig, { theirs: {}, changes, fetch: evil });
  assert.equal(report.problems.length, 10_000);
});

test('a stage in the project that somebody planted a link for is not written through', async () => {
  using rig = makeRig({ a: '1' });
  using outside = makeRig({});
  mkdirSync(path.join(rig.home, 'x'));
  writeFileSync(path.join(rig.project, '.rmtx-stage-r1'), '');
  const report = await applyTree(rig, {
    theirs: { a: '2' },
    changes: changesTo(
      scanTable(rig.project, (at) => at === 'a'),
      { a: '2' },
    ),
  });
  assert.deepEqual(report.problems, []);
  assert.deepEqual(readTree(outside.project), {});
});
