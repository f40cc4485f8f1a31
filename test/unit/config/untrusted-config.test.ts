import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, realpathSync, symlinkSync, truncateSync } from 'node:fs';
import os from 'node:os';
import { describe, test } from 'node:test';
import { refuseUnsafeRoot } from '../../../src/config/project-root.js';
import { resolveConfig } from '../../../src/config/resolved-config.js';
import { TemporaryFolder, errorOf } from './project.js';

const STRANGER = 12_345;
const needsRoot =
  process.geteuid?.() === 0 ? false : 'only root can make a file that belongs to somebody else';

describe('configs of another user', { skip: needsRoot }, () => {
  test('are refused by their folder, with the reason', () => {
    using folder = new TemporaryFolder({ 'p/.rmtx.json': '{}', 'p/mine/': '' });
    chownSync(folder.at('p'), STRANGER, STRANGER);
    const error = errorOf(() => resolveConfig({ cwd: folder.at('p/mine') }));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_UNTRUSTED');
    assert.equal(
      error.message,
      `refusing ${folder.at('p/.rmtx.json')}: the folder ${folder.at('p')} belongs to user 12345, and rmtx runs as root`,
    );
  });

  test('are refused by their own owner, also when --config names them', () => {
    using folder = new TemporaryFolder({ 'p/.rmtx.json': '{}' });
    chownSync(folder.at('p/.rmtx.json'), STRANGER, STRANGER);
    const options = { cwd: folder.path, configPath: 'p/.rmtx.json' };
    const error = errorOf(() => resolveConfig(options));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_UNTRUSTED');
    assert.match(error.message, /: it belongs to user 12345/);
  });

  test('are refused behind a link of ours', () => {
    using folder = new TemporaryFolder({ 'theirs.json': '{}', 'p/': '' });
    chownSync(folder.at('theirs.json'), STRANGER, STRANGER);
    symlinkSync('../theirs.json', folder.at('p/.rmtx.json'));
    const error = errorOf(() => resolveConfig({ cwd: folder.at('p') }));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_UNTRUSTED');
  });

  test('are refused as local overrides', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': '{}', '.rmtx.local.json': '{}' });
    chownSync(folder.at('.rmtx.local.json'), STRANGER, STRANGER);
    const error = errorOf(() => resolveConfig({ cwd: folder.path }));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_UNTRUSTED');
    assert.match(error.message, /\.rmtx\.local\.json: it belongs/);
  });

  test("a stranger's folder cannot borrow our config by calling itself a worktree", () => {
    using folder = new TemporaryFolder({
      'main/.rmtx.json': '{}',
      'main/.git/HEAD': 'ref: refs/heads/main',
      'main/.git/worktrees/x/commondir': '../..\n',
    });
    folder.write('evil/.git', `gitdir: ${folder.at('main/.git/worktrees/x')}\n`);
    assert.equal(resolveConfig({ cwd: folder.at('evil') }).projectRoot, folder.at('evil'));
    chownSync(folder.at('evil'), STRANGER, STRANGER);
    const error = errorOf(() => resolveConfig({ cwd: folder.at('evil') }));
    assert.equal(error.code, 'ERR_RMTX_CONFIG_UNTRUSTED');
  });
});

describe('things that are no config', () => {
  test('a FIFO is refused and does not hang', () => {
    using folder = new TemporaryFolder();
    execFileSync('mkfifo', [folder.at('.rmtx.json')]);
    const error = errorOf(() => resolveConfig({ cwd: folder.path }));
    assert.equal(error.message, `${folder.at('.rmtx.json')}: is not a regular file`);
  });

  test('a folder, a huge file and bytes that are not UTF-8 are refused', () => {
    using folder = new TemporaryFolder({ 'a/.rmtx.json/': '', 'b/.rmtx.json': '{}', 'c/': '' });
    truncateSync(folder.at('b/.rmtx.json'), 1 << 20);
    folder.write('c/.rmtx.json', Buffer.from([0x7b, 0xff, 0x7d]));
    for (const [name, what] of [
      ['a', /is not a regular file$/],
      ['b', /is larger than 262144 bytes$/],
      ['c', /is not UTF-8 text$/],
    ] as const) {
      const error = errorOf(() => resolveConfig({ cwd: folder.at(name) }));
      assert.equal(error.code, 'ERR_RMTX_CONFIG_INVALID');
      assert.match(error.message, what);
    }
  });

  test('brackets without end are an error and no crash', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': '['.repeat(100_000) });
    assert.equal(
      errorOf(() => resolveConfig({ cwd: folder.path })).code,
      'ERR_RMTX_CONFIG_INVALID',
    );
  });
});

describe('project roots', () => {
  const refusal = (root: string, env: NodeJS.ProcessEnv): string => {
    const error = errorOf(() => {
      refuseUnsafeRoot(root, env);
    });
    assert.equal(error.code, 'ERR_RMTX_PROJECT_ROOT_REFUSED');
    return error.message;
  };

  test('the top of the file system is none', () => {
    assert.equal(refusal('/', {}), 'the project root would be /, the top of the file system');
  });

  test('a home directory is none, nor is a folder that holds one', () => {
    using folder = new TemporaryFolder({ 'homes/me/project/': '' });
    const env = { HOME: folder.at('homes/me') };
    assert.match(refusal(folder.at('homes/me'), env), /homes\/me, a home directory$/);
    assert.match(refusal(folder.at('homes'), env), /which holds the home directory .*homes\/me$/);
    refuseUnsafeRoot(folder.at('homes/me/project'), env);
    refuseUnsafeRoot(folder.at('homes'), { HOME: folder.at('not-there') });
  });

  const accountHome = os.userInfo().homedir;
  const needsHome = existsSync(accountHome) ? false : 'this account has no home directory';
  test("the account's home is none, whatever HOME says", { skip: needsHome }, () => {
    using folder = new TemporaryFolder({ 'h/': '' });
    const home = realpathSync(accountHome);
    assert.match(refusal(home, { HOME: folder.at('h') }), /a home directory$/);
    assert.match(refusal(home, { HOME: '/' }), /a home directory$/);
    assert.match(refusal(home, {}), /a home directory$/);
  });

  test('a home that is reached through a link is recognized', () => {
    using folder = new TemporaryFolder({ 'real/me/.rmtx.json': '{}' });
    symlinkSync('real', folder.at('home'));
    const env = { HOME: folder.at('home/me') };
    const error = errorOf(() => resolveConfig({ cwd: folder.at('real/me'), env }));
    assert.equal(error.code, 'ERR_RMTX_PROJECT_ROOT_REFUSED');
  });
});

describe('mounts', () => {
  test('may be absolute below the root, also as the link names it', () => {
    using folder = new TemporaryFolder({ 'real/src/': '', 'real/lib/': '' });
    symlinkSync('real', folder.at('link'));
    folder.write('real/.rmtx.json', {
      mounts: [{ path: folder.at('real/src/') }, { path: folder.at('link/lib') }],
    });
    const { mounts } = resolveConfig({ cwd: folder.path, configPath: 'link/.rmtx.json' });
    assert.deepEqual(
      mounts.map(({ path }) => path),
      ['src', 'lib'],
    );
  });

  test('that lead out of the project through a link are refused', () => {
    using folder = new TemporaryFolder({ 'secret/x/': '', 'p/in/': '' });
    symlinkSync('../secret', folder.at('p/out'));
    symlinkSync('in', folder.at('p/within'));
    const resolve = (mount: string): unknown => {
      folder.write('p/.rmtx.json', { mounts: [{ path: mount }] });
      return resolveConfig({ cwd: folder.at('p') }).mounts;
    };
    for (const mount of ['out', 'out/x']) {
      const error = errorOf(() => resolve(mount));
      assert.equal(error.code, 'ERR_RMTX_CONFIG_UNTRUSTED');
      assert.match(
        error.message,
        /\.rmtx\.json:1: mounts\[0\]\.path: "out.* lies outside the project/,
      );
    }
    assert.deepEqual(resolve('within'), [{ path: 'within', exclude: [] }]);
  });

  test('that are missing are left to the scan', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': { mounts: [{ path: 'not/yet' }] } });
    assert.equal(resolveConfig({ cwd: folder.path }).mounts[0]?.path, 'not/yet');
  });
});
