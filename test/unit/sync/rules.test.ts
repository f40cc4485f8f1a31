import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isRmtxError } from '../../../src/errors.js';
import {
  decodeRuleSources,
  encodeRuleSources,
  parseRuleSources,
} from '../../../src/sync/rule-sources.js';
import type { WorkspacePath } from '../../../src/sync/entry.js';
import type { RuleSources } from '../../../src/sync/rule-sources.js';
import { SyncRules } from '../../../src/sync/rules.js';
import { rulesWith } from '../../support/project-tree.js';

const file = { isDirectory: false };
const directory = { isDirectory: true };

function rules(sources: Partial<RuleSources> = {}): SyncRules {
  return new SyncRules(rulesWith(sources));
}

function gitignore(text: string): Pick<RuleSources, 'gitignore'> {
  return { gitignore: [{ directory: '', source: '.gitignore', text }] };
}

describe('verdict', () => {
  test('what no rule names is synced', () => {
    assert.deepEqual(rules().verdict('src/a.ts', file), { kind: 'synced' });
    assert.deepEqual(rules().verdict('.git', directory), { kind: 'synced' });
  });

  test('ignore names its rule and where it stands', () => {
    const judge = rules({ ignore: ['.git/**', 'out/'] });
    const source = 'ignore';
    assert.deepEqual(judge.verdict('.git', directory), {
      kind: 'ignored',
      rule: '.git/**',
      source,
    });
    assert.deepEqual(judge.verdict('.git', file), { kind: 'ignored', rule: '.git/**', source });
    assert.deepEqual(judge.verdict('out', directory), { kind: 'ignored', rule: 'out/', source });
    assert.equal(judge.verdict('out', file).kind, 'synced');
    assert.equal(judge.verdict('src/.git', directory).kind, 'synced');
  });

  test('exclude counts from the project root and from its mount', () => {
    const mounts = [
      { path: 'app', exclude: ['tmp', 'app/log'] },
      { path: 'lib', exclude: [] },
    ];
    const judge = rules({ mounts });
    assert.equal(judge.verdict('app/tmp', directory).kind, 'ignored');
    assert.equal(judge.verdict('app/log', directory).kind, 'ignored');
    assert.equal(judge.verdict('lib/tmp', directory).kind, 'synced');
  });

  test('outside the mounts only what leads to one is entered', () => {
    const judge = rules({ mounts: [{ path: 'a/b/', exclude: [] }] });
    assert.deepEqual(judge.verdict('a', directory), { kind: 'outside', contains: true });
    assert.deepEqual(judge.verdict('a/c', directory), { kind: 'outside', contains: false });
    assert.deepEqual(judge.verdict('ab', directory), { kind: 'outside', contains: false });
    assert.equal(judge.verdict('a/b', directory).kind, 'synced');
    assert.equal(judge.verdict('a/b/c', file).kind, 'synced');
    assert.equal(judge.explain('a/c/d', file).kind, 'outside');
  });

  test('a mount inside an ignored directory of another is entered for its own sake', () => {
    const mounts = [
      { path: '.', exclude: ['vendor'] },
      { path: 'vendor/keep', exclude: ['tmp'] },
    ];
    const judge = rules({ mounts });
    assert.deepEqual(judge.verdict('vendor', directory), { kind: 'outside', contains: true });
    assert.deepEqual(judge.verdict('vendor/drop', directory), { kind: 'outside', contains: false });
    assert.equal(judge.verdict('vendor/keep', directory).kind, 'synced');
    assert.equal(judge.explain('vendor/keep/a', file).kind, 'synced');
    assert.equal(judge.explain('vendor/keep/tmp/a', file).kind, 'ignored');
    assert.equal(judge.explain('vendor/drop/a', file).kind, 'outside');
    assert.equal(judge.verdict('tmp', directory).kind, 'synced');
  });

  test('kept is stronger than ignored, whatever stands there', () => {
    const judge = rules({ ignore: ['node_modules/**'], keepOnHost: ['node_modules/'] });
    assert.deepEqual(judge.verdict('node_modules', directory), {
      kind: 'kept',
      rule: 'node_modules/',
    });
    assert.equal(judge.verdict('node_modules', file).kind, 'kept');
  });

  test(':gitignored keeps what .gitignore ignores', () => {
    const judge = rules({ ...gitignore('target/\n'), keepOnHost: [':gitignored'] });
    assert.deepEqual(judge.verdict('target', directory), { kind: 'kept', rule: ':gitignored' });
    assert.equal(judge.verdict('target', file).kind, 'synced');
  });

  test('sync_back is stronger than keep_on_host, and sends nothing that is ignored', () => {
    const judge = rules({
      ...gitignore('coverage/\n'),
      keepOnHost: [':gitignored', 'out/'],
      syncBack: ['coverage/', 'out/report', 'out2/**'],
    });
    assert.equal(judge.verdict('coverage', directory).kind, 'ignored');
    assert.equal(judge.verdict('out', directory).kind, 'kept');
    const both = rules({ keepOnHost: ['out/'], syncBack: ['out/'] });
    assert.equal(both.verdict('out', directory).kind, 'synced');
    const all = rules({ keepOnHost: ['out/'], syncBack: ['.'] });
    assert.equal(all.verdict('out', directory).kind, 'kept');
  });

  test("rmtx's own files take no part", () => {
    const own = ['.rmtx.local.json', '.rmtx-stage-12', 'src/.rmtx-stage-12', 'a.rmtx-conflict-R1'];
    for (const path of own) assert.deepEqual(rules().verdict(path, file), { kind: 'own' }, path);
    const others = ['.rmtx.json', 'src/.rmtx.local.json', '.rmtx-conflict-x', 'rmtx-stage-1'];
    for (const path of others) assert.equal(rules().verdict(path, file).kind, 'synced', path);
  });

  test('explain looks at the directories above', () => {
    const judge = rules({ ignore: ['out'] });
    assert.equal(judge.verdict('out/a', file).kind, 'synced');
    assert.equal(judge.explain('out/a/b', file).kind, 'ignored');
    assert.equal(judge.explain('src/a/b', file).kind, 'synced');
    assert.equal(judge.explain('out/a', file).kind, 'ignored');
  });
});

describe('.gitignore', () => {
  test('names the line and the file that ignore', () => {
    const judge = rules(gitignore('*.o\nlög\n'));
    judge.addGitignore({ directory: 'src', source: 'src/.gitignore', text: '!keep.o\n/gen\n' });
    assert.deepEqual(judge.verdict('a.o', file), {
      kind: 'ignored',
      rule: '*.o',
      source: '.gitignore',
    });
    assert.deepEqual(judge.verdict('lög', file), {
      kind: 'ignored',
      rule: 'lög',
      source: '.gitignore',
    });
    assert.equal(judge.verdict('src/keep.o', file).kind, 'synced');
    assert.equal(judge.verdict('src/gen', directory).kind, 'ignored');
    assert.equal(judge.verdict('src/x/gen', directory).kind, 'synced');
  });

  test('a directory that a deeper file takes back is judged by the path itself from there', () => {
    const judge = rules(gitignore('dir/\n*.o\n'));
    judge.addGitignore({ directory: 'a', source: 'a/.gitignore', text: '!dir/\n' });
    assert.equal(judge.explain('a/dir', directory).kind, 'synced');
    assert.equal(judge.explain('a/dir/x', file).kind, 'synced');
    assert.equal(judge.explain('a/dir/x.o', file).kind, 'ignored');
    assert.equal(judge.explain('a/dir/dir', directory).kind, 'synced');
    assert.equal(judge.explain('b/dir/x', file).kind, 'ignored');
    // Asking out of order has not changed what the lines say.
    judge.verdict('b/dir/x', file);
    assert.equal(judge.explain('b/dir', directory).kind, 'ignored');
  });

  test('a file above the project is anchored there, and ignored where it ignores all of it', () => {
    const above = (text: string): SyncRules =>
      rules({
        gitignore: [{ directory: '', source: '/r/.gitignore', text, prefix: 'packages/app' }],
      });
    const judge = above('/packages/app/dist\n/dist2\n*.tmp\n');
    assert.equal(judge.verdict('dist', directory).kind, 'ignored');
    assert.equal(judge.verdict('dist2', directory).kind, 'synced');
    assert.equal(judge.verdict('src/a.tmp', file).kind, 'ignored');
    assert.equal(above('*\n').verdict('a', file).kind, 'synced');
    assert.equal(above('packages/**\n').verdict('a', file).kind, 'synced');
  });

  test('hostile lines do not hang', () => {
    const started = performance.now();
    const judge = rules(
      gitignore(`${'*a'.repeat(30)}*b\n${'x'.repeat(1 << 20)}\n${'**/'.repeat(30)}z\n`),
    );
    assert.equal(judge.verdict('a'.repeat(255), file).kind, 'synced');
    assert.equal(judge.verdict(Array(300).fill('a').join('/'), file).kind, 'synced');
    assert.ok(performance.now() - started < 2000);
  });

  test('counts bytes as git does, also those that are not UTF-8', () => {
    const judge = rules(gitignore('?x\n??y\nf\udcff*\n'));
    assert.equal(judge.verdict('éx', file).kind, 'synced');
    assert.equal(judge.verdict('éy', file).kind, 'ignored');
    assert.deepEqual(judge.verdict('f\udcffoo', file), {
      kind: 'ignored',
      rule: 'f\udcff*',
      source: '.gitignore',
    });
  });

  test('does not count where the config does not ask for it', () => {
    const judge = rules();
    judge.addGitignore({ directory: '', source: '.gitignore', text: '*\n' });
    assert.equal(judge.verdict('a', file).kind, 'synced');
    assert.equal(judge.sources.gitignore, null);
  });
});

describe('what may come home', () => {
  test('without sync_back all that is synced', () => {
    const judge = rules({ ignore: ['out'], keepOnHost: ['kept'] });
    assert.equal(judge.isSyncBackEligible('src/a', file), true);
    assert.equal(judge.isSyncBackEligible('out/a', file), false);
    assert.equal(judge.isSyncBackEligible('kept/a', file), false);
  });

  test('with sync_back what it names, also where it is ignored or kept', () => {
    const judge = rules({
      ignore: ['out'],
      keepOnHost: ['target/'],
      syncBack: ['out/', 'target/release/app', '**/*.json'],
    });
    assert.equal(judge.isSyncBackEligible('out', directory), true);
    assert.equal(judge.isSyncBackEligible('out/a/b', file), true);
    assert.equal(judge.isSyncBackEligible('target/release/app', file), true);
    assert.equal(judge.isSyncBackEligible('target/release/lib', file), false);
    assert.equal(judge.isSyncBackEligible('target/x.json', file), false);
    assert.equal(judge.isSyncBackEligible('src/x.json', file), true);
    assert.equal(judge.isSyncBackEligible('src/x.ts', file), false);
    assert.equal(judge.canHoldSyncBack('target'), true);
    assert.equal(judge.canHoldSyncBack('target/debug'), false);
    assert.equal(judge.canHoldSyncBack('out/deep'), true);
    assert.equal(rules({ syncBack: ['**/*.json'], keepOnHost: ['k'] }).canHoldSyncBack('k'), false);
    assert.equal(rules({ keepOnHost: ['k'] }).canHoldSyncBack('k'), false);
  });

  test('the whole project means what is synced; an empty list means nothing', () => {
    const all = rules({ ignore: ['out'], syncBack: ['.'] });
    assert.equal(all.isSyncBackEligible('src/a', file), true);
    assert.equal(all.isSyncBackEligible('out/a', file), false);
    assert.equal(rules({ syncBack: [] }).isSyncBackEligible('src/a', file), false);
  });

  test('never what lies outside the mounts', () => {
    const judge = rules({ mounts: [{ path: 'app', exclude: [] }], syncBack: ['**', 'lib/x'] });
    assert.equal(judge.isSyncBackEligible('app/x', file), true);
    assert.equal(judge.isSyncBackEligible('lib/x', file), false);
    assert.equal(judge.isSyncBackEligible('app', directory), true);
  });

  test('never .git or the settings of rmtx, however they are spelled', () => {
    const judge = rules({ syncBack: ['**', '.git/hooks', 'sub'] });
    const refused = [
      '.git',
      '.git/hooks/pre-commit',
      '.GIT/config',
      'sub/.git/config',
      'sub/.Git',
      '.g\u200cit/config',
      '.rmtx.json',
      'rmtx.json',
      '.RMTX.json',
      '.rmtx.local.json',
      '.rmtx-stage-R/x',
      'a.rmtx-conflict-R',
    ];
    for (const path of refused) assert.equal(judge.isSyncBackEligible(path, file), false, path);
    const allowed = ['.gitignore', '.github/x', 'sub/.rmtx.json', 'git/x', 'a.git/x'];
    for (const path of allowed) assert.equal(judge.isSyncBackEligible(path, file), true, path);
  });

  test('never the directory where rmtx keeps its key, which is not sent either', () => {
    const judge = rules({ own: ['tools/state' as WorkspacePath], syncBack: ['**', 'tools/state'] });
    for (const path of ['tools/state', 'tools/state/identity/key.pem'])
      assert.equal(judge.verdict(path, directory).kind, 'own', path);
    for (const path of ['tools/state', 'tools/state/identity/key.pem', 'Tools/sta\u200dte/x'])
      assert.equal(judge.isSyncBackEligible(path, file), false, path);
    for (const path of ['tools', 'tools/state2', 'tools/stat', 'state'])
      assert.equal(judge.verdict(path, directory).kind, 'synced', path);
  });
});

describe('rules as data', () => {
  const sources = rulesWith({
    mounts: [{ path: 'a', exclude: ['b'] }],
    gitignore: [
      { directory: '', source: '/x', text: 'caf\udce9\n', prefix: 'p/q' },
      { directory: 'd', source: 'd/.gitignore', text: '*' },
    ],
    syncBack: ['out'],
    isCaseInsensitive: true,
  });

  test('travel as they are', () => {
    assert.deepEqual(decodeRuleSources(encodeRuleSources(sources)), sources);
    assert.deepEqual(decodeRuleSources(encodeRuleSources(rulesWith({}))), rulesWith({}));
  });

  test('have an id that changes with what was added', () => {
    const judge = new SyncRules(sources);
    assert.equal(judge.id, new SyncRules(sources).id);
    const before = judge.id;
    judge.addGitignore({ directory: 'e', source: 'e/.gitignore', text: 'x' });
    assert.notEqual(judge.id, before);
    assert.equal(judge.sources.gitignore?.length, 3);
    assert.equal(judge.id, new SyncRules(judge.sources).id);
  });

  test('are refused with the field that is wrong', () => {
    const wrong: [unknown, RegExp][] = [
      [null, /at rules/],
      [{ ...sources, mounts: 'x' }, /at mounts/],
      [{ ...sources, mounts: [{ path: 1, exclude: [] }] }, /at mounts\[0\]\.path/],
      [{ ...sources, ignore: [1] }, /at ignore\[0\]/],
      [{ ...sources, gitignore: [{ directory: '', source: '' }] }, /at gitignore\[0\]\.text/],
      [{ ...sources, isCaseInsensitive: 'yes' }, /at isCaseInsensitive/],
      [{ ...sources, own: ['../up'] }, /at own\[0\]/],
    ];
    for (const [value, message] of wrong)
      assert.throws(() => parseRuleSources(value), { code: 'ERR_RMTX_BAD_MESSAGE', message });
    assert.throws(() => decodeRuleSources(Buffer.from('{')), isRmtxError);
  });
});
