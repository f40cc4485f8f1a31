import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { findConfig } from '../../../src/config/find-config.js';
import { resolveConfig } from '../../../src/config/resolved-config.js';
import { TemporaryFolder, errorOf } from './project.js';

function git(folder: string, ...args: string[]): void {
  const settings = ['-c', 'user.name=t', '-c', 'user.email=t@example.com'];
  execFileSync('git', [...settings, ...args], { cwd: folder, stdio: 'pipe' });
}

/** `main` is a repository with one commit; `linked` a worktree of it, at the given place. */
function withWorktree(linked: string, files: Record<string, string | object>): TemporaryFolder {
  const folder = new TemporaryFolder({ 'main/README': 'x', 'main/packages/a/src/': '' });
  for (const [name, content] of Object.entries(files)) folder.write(name, content);
  git(folder.at('main'), 'init', '-q');
  git(folder.at('main'), 'add', 'README');
  git(folder.at('main'), 'commit', '-qm', 'first');
  git(folder.at('main'), 'worktree', 'add', '-q', folder.at(linked));
  return folder;
}

describe('looking upward', () => {
  test('takes the nearest config, .rmtx.json before rmtx.json', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': '{}', 'a/rmtx.json': '{}', 'a/b/c/': '' });
    assert.equal(findConfig({ cwd: folder.at('a/b/c') })?.configFile, folder.at('a/rmtx.json'));
    folder.write('a/.rmtx.json', '{}');
    assert.deepEqual(findConfig({ cwd: folder.at('a/b/c') }), {
      configFile: folder.at('a/.rmtx.json'),
      localFile: folder.at('a/.rmtx.local.json'),
      projectRoot: folder.at('a'),
    });
  });

  test('says what to do where there is none', () => {
    using folder = new TemporaryFolder({ 'a/': '' });
    const error = errorOf(() => resolveConfig({ cwd: folder.at('a') }));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_NOT_FOUND');
    assert.equal(error.message, `no .rmtx.json in ${folder.at('a')} or any folder above it`);
    assert.equal(error.hint, "run rmtx init in the project's top folder");
  });

  test('has no config for a working directory that is gone', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': '{}' });
    assert.equal(findConfig({ cwd: folder.at('gone') }), undefined);
  });

  test('a link to nothing hides the configs above it, and is an error', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': '{}', 'a/': '' });
    symlinkSync('nowhere', folder.at('a/.rmtx.json'));
    const error = errorOf(() => resolveConfig({ cwd: folder.at('a') }));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_INVALID');
    assert.match(error.message, /a\/\.rmtx\.json: is a link to nothing/);
  });

  test('the root is a real path, also when the project is reached through a link', () => {
    using folder = new TemporaryFolder({ 'real/.rmtx.json': '{}', 'real/sub/': '' });
    symlinkSync('real', folder.at('link'));
    assert.equal(resolveConfig({ cwd: folder.at('link/sub') }).projectRoot, folder.at('real'));
    const named = resolveConfig({ cwd: folder.path, configPath: 'link/.rmtx.json' });
    assert.equal(named.projectRoot, folder.at('real'));
  });
});

describe('--config', () => {
  test('is relative to the working directory, and its folder is the root', () => {
    using folder = new TemporaryFolder({ 'p/other.json': '{ "host": "desk" }', 'q/': '' });
    const config = resolveConfig({ cwd: folder.at('q'), configPath: '../p/other.json' });
    assert.equal(config.host, 'desk');
    assert.equal(config.projectRoot, folder.at('p'));
  });

  test('a linked config is read, rooted at the folder of the link', () => {
    using folder = new TemporaryFolder({ 'shared/rmtx.json': '{ "host": "desk" }', 'p/': '' });
    symlinkSync('../shared/rmtx.json', folder.at('p/.rmtx.json'));
    const config = resolveConfig({ cwd: folder.at('p') });
    assert.equal(config.host, 'desk');
    assert.equal(config.projectRoot, folder.at('p'));
  });

  test('must exist', () => {
    using folder = new TemporaryFolder();
    const error = errorOf(() => resolveConfig({ cwd: folder.path, configPath: 'no.json' }));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_NOT_FOUND');
    assert.equal(error.message, 'the config no.json does not exist');
  });
});

describe('linked git worktrees', () => {
  test("use the main worktree's config and local file, rooted at themselves", () => {
    using folder = withWorktree('linked', {
      'main/rmtx.json': { mounts: [{ path: 'src' }] },
      'main/.rmtx.local.json': { host: 'desk' },
    });
    folder.write('linked/sub/', '');
    const config = resolveConfig({ cwd: folder.at('linked/sub') });
    assert.equal(config.projectRoot, folder.at('linked'));
    assert.equal(config.configFile, folder.at('main/rmtx.json'));
    assert.equal(config.host, 'desk');
    assert.equal(config.contextName, 'linked');
  });

  test('use it also where they lie inside the main worktree', () => {
    using folder = withWorktree('main/.worktrees/x', { 'main/.rmtx.json': '{}' });
    const config = resolveConfig({ cwd: folder.at('main/.worktrees/x') });
    assert.equal(config.projectRoot, folder.at('main/.worktrees/x'));
  });

  test('prefer a config of their own', () => {
    using folder = withWorktree('linked', { 'main/.rmtx.json': '{}' });
    folder.write('linked/.rmtx.json', { host: 'own' });
    assert.equal(resolveConfig({ cwd: folder.at('linked') }).host, 'own');
  });

  test('find the config of a folder inside the repository at the same place', () => {
    using folder = withWorktree('linked', { 'main/packages/a/.rmtx.json': '{}' });
    folder.write('linked/packages/a/src/', '');
    const config = resolveConfig({ cwd: folder.at('linked/packages/a/src') });
    assert.equal(config.projectRoot, folder.at('linked/packages/a'));
    assert.equal(config.configFile, folder.at('main/packages/a/.rmtx.json'));
  });

  test('go on upward where the main worktree has none', () => {
    using folder = withWorktree('up/linked', { 'up/.rmtx.json': '{}' });
    assert.equal(resolveConfig({ cwd: folder.at('up/linked') }).projectRoot, folder.at('up'));
  });

  test('of a bare repository have no main worktree to ask', () => {
    using folder = withWorktree('linked', { 'main/.rmtx.json': '{}' });
    const bare = folder.at('bare.git');
    git(folder.path, 'clone', '-q', '--bare', folder.at('main'), bare);
    git(bare, 'worktree', 'add', '-q', folder.at('from-bare'), '-b', 'other');
    assert.equal(findConfig({ cwd: folder.at('from-bare') }), undefined);
  });

  test('whose repository is gone count as plain folders', () => {
    using folder = withWorktree('linked', { 'main/.rmtx.json': '{}' });
    renameSync(folder.at('main'), folder.at('moved'));
    assert.equal(findConfig({ cwd: folder.at('linked') }), undefined);
  });

  test('a submodule is no linked worktree', () => {
    using folder = new TemporaryFolder({ 'p/.rmtx.json': '{}' });
    const modules = folder.at('p/.git/modules/sub');
    mkdirSync(modules, { recursive: true });
    folder.write('p/.git/modules/sub/HEAD', 'ref: refs/heads/main');
    folder.write('p/sub/.git', `gitdir: ${path.relative(folder.at('p/sub'), modules)}\n`);
    assert.equal(findConfig({ cwd: folder.at('p/sub') })?.projectRoot, folder.at('p'));
  });
});
