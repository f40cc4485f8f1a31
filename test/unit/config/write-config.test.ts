import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { describe, test } from 'node:test';
import { findConfig } from '../../../src/config/find-config.js';
import type { FoundConfig } from '../../../src/config/find-config.js';
import { resolveConfig } from '../../../src/config/resolved-config.js';
import {
  planInitialConfig,
  writeInitialConfig,
  writeLocalOverride,
} from '../../../src/config/write-config.js';
import { OTHER_PIN, PIN, TemporaryFolder, errorOf } from './project.js';

function plan(folder: TemporaryFolder): ReturnType<typeof planInitialConfig> {
  return planInitialConfig({ root: folder.path, fingerprint: PIN });
}

function foundIn(folder: string): FoundConfig {
  const found = findConfig({ cwd: folder });
  assert.ok(found);
  return found;
}

/** What git itself says of a path. */
function isIgnoredByGit(folder: string, name: string): boolean {
  try {
    execFileSync('git', ['check-ignore', '-q', name], { cwd: folder, stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

describe('the first config of a project', () => {
  test('is readable JSON with the pin, without a host that nobody named', () => {
    using folder = new TemporaryFolder({ 'proj/': '' });
    const { text, configFile } = planInitialConfig({ root: folder.at('proj'), fingerprint: PIN });
    assert.equal(configFile, folder.at('proj/.rmtx.json'));
    assert.equal(
      text,
      `{
  "version": 1,
  "context": { "name": "proj" },
  "tls": {
    "host_fingerprint": "${PIN}"
  },
  "mounts": [{ "path": "." }],
  "ignore": [
    ".git/**",
    "**/.env",
    "**/.env.local",
    "**/.env.*.local",
    "**/.netrc",
    "**/.ssh/**",
    "**/.aws/**",
    "**/*.pem",
    "**/*.p12",
    "**/*.pfx",
    "**/id_rsa*",
    "**/id_ecdsa*",
    "**/id_ed25519*"
  ],
  "ignore_gitignore": true
}
`,
    );
  });

  test('names what the user named, and the schema where the project has it installed', () => {
    using folder = new TemporaryFolder({ 'node_modules/rmtx/rmtx.schema.json': '{}' });
    const { text } = planInitialConfig({
      root: folder.path,
      contextName: 'mine',
      host: '10.0.0.2:33221',
      fingerprint: PIN,
    });
    const parsed = JSON.parse(text) as Record<string, unknown>;
    assert.equal(parsed['$schema'], './node_modules/rmtx/rmtx.schema.json');
    assert.equal(parsed['host'], '10.0.0.2:33221');
    assert.deepEqual(parsed['context'], { name: 'mine' });
  });

  for (const [marker, kind, ignored, kept] of [
    ['package.json', 'Node.js', '**/node_modules/**', '**/node_modules/'],
    ['Cargo.toml', 'Rust', 'target/**', 'target/'],
    ['pyproject.toml', 'Python', '.venv/**', '.venv/'],
    ['CMakeLists.txt', 'CMake', 'build/**', 'build/'],
    ['Makefile', 'Make', '**/*.o', '**/*.o'],
    ['go.mod', 'Go', '.git/**', undefined],
  ] as const)
    test(`knows a ${kind} project by its ${marker}`, () => {
      using folder = new TemporaryFolder({ [marker]: '' });
      const { kinds, ignore, keepOnHost } = plan(folder);
      assert.deepEqual(kinds, [kind]);
      assert.ok(ignore.includes(ignored));
      if (kept === undefined) assert.deepEqual(keepOnHost, []);
      else assert.ok(keepOnHost.includes(kept));
    });

  test('leaves folders that git may track to .gitignore where there is one', () => {
    using folder = new TemporaryFolder({
      'CMakeLists.txt': '',
      'package.json': '',
      '.gitignore': '',
    });
    const { ignore, keepOnHost } = plan(folder);
    assert.deepEqual(keepOnHost, [':gitignored', '**/node_modules/', 'cmake-build-*/']);
    assert.ok(!ignore.includes('build/**'));
  });

  test('is refused for a home directory', () => {
    using folder = new TemporaryFolder();
    const request = { root: folder.path, fingerprint: PIN, env: { HOME: folder.path } };
    assert.equal(errorOf(() => planInitialConfig(request)).code, 'ERR_RMTX_PROJECT_ROOT_REFUSED');
  });

  test('is written for all to read, alone, and accepted at once', () => {
    using folder = new TemporaryFolder({ 'Cargo.toml': '' });
    assert.equal(writeInitialConfig(plan(folder)), 'no-repository');
    assert.deepEqual(readdirSync(folder.path).sort(), ['.rmtx.json', 'Cargo.toml']);
    assert.equal(statSync(folder.at('.rmtx.json')).mode & 0o777, 0o644);
    const config = resolveConfig({ cwd: folder.path });
    assert.equal(config.hostFingerprint, PIN);
    assert.deepEqual(config.keepOnHost, ['target/']);
  });

  test('never replaces what is there, not even a link to nothing', () => {
    for (const make of [
      (folder: TemporaryFolder) => folder.write('.rmtx.json', 'mine'),
      (folder: TemporaryFolder) => symlinkSync('nowhere', folder.at('.rmtx.json')),
    ]) {
      using folder = new TemporaryFolder();
      const planned = plan(folder);
      make(folder);
      const error = errorOf(() => writeInitialConfig(planned));
      assert.equal(error.code, 'ERR_RMTX_CONFIG_EXISTS');
      assert.deepEqual(readdirSync(folder.path), ['.rmtx.json']);
    }
  });
});

describe('host and pin beside a config that exists', () => {
  test('go into a new local file; the shared one stays as it was', () => {
    const shared = '{ "version": 1 } // shared\n';
    using folder = new TemporaryFolder({ '.rmtx.json': shared, 'sub/': '' });
    const result = writeLocalOverride(foundIn(folder.at('sub')), {
      host: '10.0.0.2:33221',
      fingerprint: PIN,
    });
    assert.deepEqual(result, {
      localFile: folder.at('.rmtx.local.json'),
      hasChanged: true,
      exclude: 'no-repository',
    });
    assert.equal(readFileSync(folder.at('.rmtx.json'), 'utf8'), shared);
    const config = resolveConfig({ cwd: folder.path });
    assert.deepEqual([config.host, config.hostFingerprint], ['10.0.0.2:33221', PIN]);
  });

  test('keep comments and other settings of the local file', () => {
    using folder = new TemporaryFolder({
      '.rmtx.json': '{}',
      '.rmtx.local.json': `// my own\n{\n  "host": "old", // the attic\n  "env": { "forward": ["CI"] }, /* last */\n}\n`,
    });
    writeLocalOverride(foundIn(folder.path), { host: 'new', fingerprint: OTHER_PIN });
    const text = readFileSync(folder.at('.rmtx.local.json'), 'utf8');
    for (const comment of ['// my own', '// the attic', '/* last */'])
      assert.ok(text.includes(comment));
    const config = resolveConfig({ cwd: folder.path });
    assert.deepEqual(
      [config.host, config.hostFingerprint, config.envForward],
      ['new', OTHER_PIN, ['CI']],
    );
  });

  test('are not written where the settings say the same', () => {
    using folder = new TemporaryFolder({
      '.rmtx.json': { host: 'desk', tls: { host_fingerprint: PIN } },
    });
    const values = { host: 'desk', fingerprint: PIN };
    assert.equal(writeLocalOverride(foundIn(folder.path), values).hasChanged, false);
    assert.deepEqual(readdirSync(folder.path), ['.rmtx.json']);
  });

  test('leave a local file alone that is not valid', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': '{}', '.rmtx.local.json': '{ "hots": 1 }' });
    const error = errorOf(() => writeLocalOverride(foundIn(folder.path), { fingerprint: PIN }));
    assert.equal(error.hint, 'did you mean "host"?');
    assert.equal(readFileSync(folder.at('.rmtx.local.json'), 'utf8'), '{ "hots": 1 }');
  });

  test('go through a link to the file it leads to', () => {
    using folder = new TemporaryFolder({ 'p/.rmtx.json': '{}', 'dotfiles/local.json': '{}' });
    symlinkSync('../dotfiles/local.json', folder.at('p/.rmtx.local.json'));
    writeLocalOverride(foundIn(folder.at('p')), { host: 'desk', fingerprint: PIN });
    assert.match(readFileSync(folder.at('dotfiles/local.json'), 'utf8'), /"host": "desk"/);
  });
});

describe('.git/info/exclude', () => {
  const settings = ['-c', 'user.name=t', '-c', 'user.email=t@example.com'];
  const git = (cwd: string, ...args: string[]): void => {
    execFileSync('git', [...settings, ...args], { cwd, stdio: 'pipe' });
  };

  test('names the local file once, in a repository without info too', () => {
    using folder = new TemporaryFolder({ 'sub/': '' });
    git(folder.path, 'init', '-q', '--template=');
    const planned = planInitialConfig({ root: folder.at('sub'), fingerprint: PIN });
    assert.equal(writeInitialConfig(planned), 'added');
    const found = foundIn(folder.at('sub'));
    const result = writeLocalOverride(found, { host: 'desk', fingerprint: PIN });
    assert.equal(result.exclude, 'present');
    assert.equal(readFileSync(folder.at('.git/info/exclude'), 'utf8'), '.rmtx.local.json\n');
    assert.ok(isIgnoredByGit(folder.path, 'sub/.rmtx.local.json'));
    assert.ok(!isIgnoredByGit(folder.path, 'sub/.rmtx.json'));
  });

  test('keeps its other lines, and gets the end of a line that had none', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': '{}' });
    git(folder.path, 'init', '-q');
    folder.write('.git/info/exclude', '*.tmp');
    writeLocalOverride(foundIn(folder.path), { fingerprint: PIN });
    const text = readFileSync(folder.at('.git/info/exclude'), 'utf8');
    assert.equal(text, '*.tmp\n.rmtx.local.json\n');
  });

  test('is the one that a linked worktree shares', () => {
    using folder = new TemporaryFolder({ 'main/x': '' });
    git(folder.at('main'), 'init', '-q', '--template=');
    git(folder.at('main'), 'add', 'x');
    git(folder.at('main'), 'commit', '-qm', 'first');
    git(folder.at('main'), 'worktree', 'add', '-q', folder.at('linked'));
    folder.write('linked/.rmtx.json', '{}');
    const result = writeLocalOverride(foundIn(folder.at('linked')), { fingerprint: PIN });
    assert.equal(result.exclude, 'added');
    assert.ok(isIgnoredByGit(folder.at('linked'), '.rmtx.local.json'));
  });
});
