import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gitBoolean, parseGitConfig } from '../../../src/sync/git-config.js';
import { findGitSources } from '../../../src/sync/git-sources.js';
import type { GitSources } from '../../../src/sync/git-sources.js';
import { GitRepository } from '../../support/git-repository.js';

function home(repository: GitRepository, file: string, text: string): string {
  const target = path.join(repository.home, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
  return target;
}

/** File names without where they are, and texts. */
function brief(sources: GitSources): string[] {
  return sources.gitignore.map(({ source, text }) => `${path.basename(source)}: ${text.trim()}`);
}

describe("the user's own file", () => {
  test('is core.excludesFile of ~/.gitconfig, before that of the XDG file', () => {
    using repository = new GitRepository();
    home(repository, '.config/git/config', '[core]\n\texcludesfile = ~/low\n');
    home(repository, '.gitconfig', '[Core]\n  ExcludesFile = "~/my ignores" ; mine\n');
    const file = home(repository, 'my ignores', '*.swp\n');
    home(repository, 'low', 'low\n');
    const { gitignore } = findGitSources(repository.root, repository.env);
    assert.deepEqual(gitignore[0], { directory: '', source: file, text: '*.swp\n' });
  });

  test("is git's default place where nothing is configured", () => {
    using repository = new GitRepository();
    home(repository, '.config/git/ignore', 'default\n');
    assert.equal(brief(findGitSources(repository.root, repository.env))[0], 'ignore: default');
    const elsewhere = path.dirname(home(repository, 'xdg/git/ignore', 'elsewhere\n'));
    const env = { ...repository.env, XDG_CONFIG_HOME: path.dirname(elsewhere) };
    assert.equal(brief(findGitSources(repository.root, env))[0], 'ignore: elsewhere');
  });

  test('is none where it is set to nothing', () => {
    using repository = new GitRepository();
    home(repository, '.config/git/ignore', 'default\n');
    home(repository, '.gitconfig', '[core]\nexcludesFile =\n');
    assert.deepEqual(
      brief(findGitSources(repository.root, repository.env)),
      excludeOnly(repository),
    );
  });

  test("is the repository's, and that of an included file", () => {
    using repository = new GitRepository();
    home(repository, '.gitconfig', '[include]\n\tpath = more/config\n[core]\n');
    home(repository, 'more/config', '[core]\n\texcludesFile = ~/included\n');
    home(repository, 'included', 'included\n');
    home(repository, 'local', 'local\n');
    assert.equal(brief(findGitSources(repository.root, repository.env))[0], 'included: included');
    repository.git(['config', 'core.excludesFile', path.join(repository.home, 'local')]);
    assert.equal(brief(findGitSources(repository.root, repository.env))[0], 'local: local');
  });

  test('counts outside a repository, too', () => {
    using repository = new GitRepository();
    home(repository, '.config/git/ignore', 'default\n');
    const found = findGitSources(repository.home, repository.env);
    assert.deepEqual(brief(found), ['ignore: default']);
  });

  test('GIT_CONFIG_GLOBAL takes the place of both files', () => {
    using repository = new GitRepository();
    home(repository, '.gitconfig', '[core]\nignoreCase = true\n');
    const env = { ...repository.env, GIT_CONFIG_GLOBAL: '/dev/null' };
    assert.equal(findGitSources(repository.root, env).isCaseInsensitive, false);
    assert.equal(findGitSources(repository.root, repository.env).isCaseInsensitive, true);
  });
});

/** What `git init` writes into info/exclude is comments. */
function excludeOnly(repository: GitRepository): string[] {
  return [`exclude: ${repository.read('.git/info/exclude').trim()}`];
}

describe('the repository', () => {
  test('a linked worktree uses the info/exclude of the main one', () => {
    using repository = new GitRepository();
    repository.write('.git/info/exclude', 'excluded\n');
    repository.write('a', '');
    const identity = ['-c', 'user.name=n', '-c', 'user.email=e'];
    repository.git([...identity, 'add', 'a']);
    repository.git([...identity, 'commit', '-q', '-m', 'first']);
    const worktree = path.join(repository.base, 'linked');
    repository.git(['worktree', 'add', '-q', worktree]);
    const found = findGitSources(worktree, repository.env);
    assert.deepEqual(brief(found), ['exclude: excluded']);
    assert.equal(found.gitignore[0]?.prefix, undefined);
  });

  test('a worktree may have settings of its own', () => {
    using repository = new GitRepository();
    repository.git(['config', 'extensions.worktreeConfig', 'true']);
    repository.git(['config', '--worktree', 'core.ignoreCase', 'true']);
    assert.equal(findGitSources(repository.root, repository.env).isCaseInsensitive, true);
  });

  test('a submodule has its own exclude file', () => {
    using repository = new GitRepository();
    repository.write('.git/modules/sub/HEAD', 'ref: refs/heads/main\n');
    repository.write('.git/modules/sub/info/exclude', 'of the submodule\n');
    repository.write('sub/.git', 'gitdir: ../.git/modules/sub\n');
    const found = findGitSources(path.join(repository.root, 'sub'), repository.env);
    assert.deepEqual(brief(found), ['exclude: of the submodule']);
  });

  test('a project in a folder of it is told of the .gitignore files above, the deepest last', () => {
    using repository = new GitRepository();
    repository.write('.git/info/exclude', 'e\n');
    repository.write('.gitignore', 'top\n');
    repository.write('packages/.gitignore', 'packages\n');
    repository.write('packages/app/.gitignore', 'found by the scan\n');
    const found = findGitSources(path.join(repository.root, 'packages/app'), repository.env);
    assert.deepEqual(
      found.gitignore.map(({ text, prefix }) => [text.trim(), prefix]),
      [
        ['e', 'packages/app'],
        ['top', 'packages/app'],
        ['packages', 'app'],
      ],
    );
  });

  test('an empty folder or a broken link named .git is no repository', () => {
    using repository = new GitRepository();
    repository.write('.git/info/exclude', 'e\n');
    mkdirSync(path.join(repository.root, 'a/.git'), { recursive: true });
    repository.write('b/.git', 'gitdir: /nowhere\n');
    for (const folder of ['a', 'b']) {
      const found = findGitSources(path.join(repository.root, folder), repository.env);
      assert.deepEqual(found.gitignore[0]?.prefix, folder);
    }
  });

  test('a FIFO in the place of a file is passed over', () => {
    using repository = new GitRepository();
    repository.git(['config', 'core.excludesFile', path.join(repository.home, 'fifo')]);
    execFileSync('mkfifo', [path.join(repository.home, 'fifo')]);
    assert.deepEqual(
      brief(findGitSources(repository.root, repository.env)),
      excludeOnly(repository),
    );
  });
});

describe('git config syntax', () => {
  const cases: [text: string, expected: string[]][] = [
    ['[core]\n\ta = b\n', ['core.a=b']],
    ['[core]a=b', ['core.a=b']],
    ['[CORE]\nAutoCRLF', ['core.autocrlf=true']],
    ['[core]\na =\n', ['core.a=']],
    ['[core]\na = "x # y" # z\n', ['core.a=x # y']],
    ['[core]\na = x ; y\n', ['core.a=x']],
    ['[core]\na = one\\\n two\n', ['core.a=one two']],
    ['[core]\na = "tab\\there" \\"q\\" \\\\\n', ['core.a=tab\there "q" \\']],
    ['[core]\na = "  kept  "  \n', ['core.a=  kept  ']],
    ['[core]\na = in  between\n', ['core.a=in  between']],
    ['[remote "core"]\na = b\n[core]\nc = d\n', ['core.c=d']],
    ['\uFEFF[core]\r\na = b\r\n', ['core.a=b']],
    ['# [core]\n; a = b\n[core] ; c\n', []],
    ['[core\na = b\n', []],
    ['a = b', []],
  ];
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => {
      const lines = parseGitConfig(text).map(
        ({ section, key, value }) => `${section}.${key}=${value}`,
      );
      assert.deepEqual(lines, expected);
    });
  }

  test('booleans are read as git reads them', () => {
    for (const yes of ['true', 'YES', 'on', '1', '-2']) assert.equal(gitBoolean(yes, false), true);
    for (const no of ['false', 'No', 'off', '0', '']) assert.equal(gitBoolean(no, true), false);
    assert.equal(gitBoolean('maybe', true), true);
    assert.equal(gitBoolean(undefined, true), true);
  });
});
