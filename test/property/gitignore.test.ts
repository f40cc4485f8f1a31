import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { findGitSources } from '../../src/sync/git-sources.js';
import type { EntryTable } from '../../src/sync/entry-table.js';
import type { RuleSources } from '../../src/sync/rule-sources.js';
import { SyncRules } from '../../src/sync/rules.js';
import type { ScanState } from '../../src/sync/scan-state.js';
import { scanProject } from '../../src/sync/scan.js';
import { pathFromBytes } from '../../src/util/path-bytes.js';
import { AnchoredRoot } from '../../src/util/safe-path.js';
import { GitRepository, splitNames } from '../support/git-repository.js';

const RUNS = Number(process.env['RMTX_PROPERTY_RUNS'] ?? 80);

const directories = ['a', 'a/b', 'a/b/a', 'foo', 'foo/baz', 'foo/a', 'Ab'] as const;
const names = [
  'a.o',
  'foo.o',
  'bar',
  'x ',
  ' x',
  '#c',
  '!n',
  'é',
  '[a]',
  'a*b',
  'AxB',
  'back\\slash',
  'new\nline',
  '.dot',
  'axb',
  pathFromBytes(Buffer.from('f\xff.o', 'latin1')),
] as const;

/** The tree is always the same; the rules are what varies. */
const tree = ['', ...directories].flatMap((directory) =>
  names.map((name) => (directory === '' ? name : `${directory}/${name}`)),
);
const paths = [...directories, ...tree];

const part = fc.oneof(
  fc.constantFrom(...names, 'a', 'b', 'foo', 'bar', 'Ab', 'ab', 'axb', 'x'),
  fc.constantFrom('*', '**', '***', '?', '*.o', 'f*', '?oo', '[a-f]oo', '[!a]*', '[^f]*', '*a*'),
  fc.constantFrom(
    '[ab]',
    '[[:alpha:]]*',
    '[]a]',
    '\\[a\\]',
    'a\\*b',
    '\\#c',
    '\\!n',
    '??',
    '[a',
    'é*',
  ),
  fc.constantFrom(
    'x\\ ',
    'back\\\\slash',
    '.*',
    '*?*',
    'a?b',
    '*\\ ',
    '[a-]*',
    '[\\]a]',
    '?.o',
    '*é',
  ),
);

const joined = fc.tuple(part, part).map(([one, two]) => one + two);

const line = fc
  .record({
    negation: fc.constantFrom('', '', '!'),
    anchor: fc.constantFrom('', '', '/', '**/'),
    parts: fc.array(fc.oneof({ weight: 5, arbitrary: part }, { weight: 1, arbitrary: joined }), {
      minLength: 1,
      maxLength: 3,
    }),
    end: fc.constantFrom('', '', '', '/', '/**', '/*', ' ', '  ', '\r', '/ '),
  })
  .map(({ negation, anchor, parts, end }) => negation + anchor + parts.join('/') + end)
  // Two readings that gitignore(5) does not promise and the package does not share (its README lists
  // them): a run of stars right behind other text as a `**`, and one beside an escaped slash.
  .filter((text) => !/[^/!*]\*\*|\\\//.test(text));

const lines = fc.oneof(
  { weight: 6, arbitrary: line },
  { weight: 1, arbitrary: fc.constantFrom('', '# comment', '   ', '!', '/', '\\', '#', 'a\\') },
);
const file = fc.array(lines, { maxLength: 6 }).map((all) => all.join('\n'));

const ruleSet = fc.record({
  personal: file,
  exclude: file,
  top: file,
  nested: fc.dictionary(fc.constantFrom(...directories), file, { maxKeys: 3 }),
  isCaseInsensitive: fc.boolean(),
});

function createTree(): GitRepository {
  const repository = new GitRepository();
  for (const directory of directories)
    mkdirSync(path.join(repository.root, directory), { recursive: true });
  for (const name of tree) repository.write(name, '');
  return repository;
}

test('agrees with git check-ignore on every path of a tree', () => {
  using repository = createTree();
  fc.assert(
    fc.property(ruleSet, (rules) => {
      writeRules(repository, rules);
      const judge = new SyncRules(sourcesOf(repository));
      for (const directory of ['', ...Object.keys(rules.nested).sort()]) {
        const source = path.join(directory, '.gitignore');
        judge.addGitignore({ directory, source, text: repository.read(source) });
      }
      const ours = paths.filter(
        (one) => judge.explain(one, { isDirectory: isDirectory(one) }).kind !== 'synced',
      );
      assert.deepEqual(ours.toSorted(), repository.ignored(paths).toSorted());
    }),
    { numRuns: RUNS },
  );
});

test('a scan finds the files that git finds, also when it starts from another scan', async () => {
  using repository = createTree();
  using root = AnchoredRoot.open(repository.root);
  let previous: ScanState | undefined;
  await fc.assert(
    fc.asyncProperty(ruleSet, async (rules) => {
      writeRules(repository, rules);
      const scan = { root, rules: sourcesOf(repository) };
      const cold = await scanProject(scan);
      const warm = await scanProject({ ...scan, previous });
      previous = warm;
      const listed = repository.git(['ls-files', '-o', '-z', '--exclude-standard']);
      assert.deepEqual(filesOf(warm.table), splitNames(listed).toSorted());
      assert.deepEqual(filesOf(cold.table), filesOf(warm.table));
      assert.equal(cold.table.manifestId, warm.table.manifestId);
      assert.deepEqual(cold.rules, warm.rules);
    }),
    { numRuns: Math.ceil(RUNS / 4) },
  );
});

function filesOf(table: EntryTable): string[] {
  const files: string[] = [];
  for (let row = 0; row < table.length; row++)
    if (table.kind(row) !== 'directory') files.push(table.path(row));
  return files.sort();
}

function isDirectory(one: string): boolean {
  return directories.some((directory) => directory === one);
}

interface Rules {
  readonly personal: string;
  readonly exclude: string;
  readonly top: string;
  readonly nested: Readonly<Record<string, string>>;
  readonly isCaseInsensitive: boolean;
}

function writeRules(repository: GitRepository, rules: Rules): void {
  writeFileSync(
    path.join(repository.home, '.gitconfig'),
    `[core]\n\texcludesFile = ~/personal\n\tignoreCase = ${rules.isCaseInsensitive}\n`,
  );
  // The repository's own value would win.
  writeFileSync(
    path.join(repository.root, '.git/config'),
    '[core]\n\trepositoryformatversion = 0\n',
  );
  writeFileSync(path.join(repository.home, 'personal'), rules.personal);
  repository.write('.git/info/exclude', rules.exclude);
  repository.write('.gitignore', rules.top);
  for (const directory of directories)
    rmSync(path.join(repository.root, directory, '.gitignore'), { force: true });
  for (const [directory, text] of Object.entries(rules.nested))
    repository.write(`${directory}/.gitignore`, text);
}

function sourcesOf(repository: GitRepository): RuleSources {
  return {
    mounts: [{ path: '.', exclude: [] }],
    ignore: ['.git/**'],
    syncBack: null,
    keepOnHost: [],
    ...findGitSources(repository.root, repository.env),
  };
}
