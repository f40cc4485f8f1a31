import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { resolveConfig } from '../../../src/config/resolved-config.js';
import type { ResolvedConfig } from '../../../src/config/resolved-config.js';
import { PIN, TemporaryFolder, errorOf, repository } from './project.js';

const fixtures = path.join(repository, 'fixtures', 'config');

function read(folder: string, name: string): string {
  return readFileSync(path.join(fixtures, folder, name), 'utf8');
}

/** `// CODE LINE: REST`, then perhaps `// hint: HINT`; ROOT stands for the project's folder. */
function expectation(text: string, project: TemporaryFolder): object {
  const [first = '', second = ''] = text.split('\n');
  const [, code, line, rest] = /^\/\/ (\S+) (\d+): (.*)$/.exec(first) ?? [];
  const hint = /^\/\/ hint: (.*)$/.exec(second)?.[1];
  const file = project.at('.rmtx.json');
  return { code, message: `${file}:${line}: ${rest}`.replace('"ROOT"', `"${project.path}"`), hint };
}

describe('invalid configs', () => {
  for (const name of readdirSync(path.join(fixtures, 'invalid')))
    test(`refuses ${name} with the error that its first line names`, () => {
      const text = read('invalid', name);
      using project = new TemporaryFolder({ '.rmtx.json': text });
      const { code, message, hint } = errorOf(() => resolveConfig({ cwd: project.path }));
      assert.deepEqual({ code, message, hint }, expectation(text, project));
    });
});

describe('valid configs', () => {
  const resolveFixture = (name: string): ResolvedConfig => {
    using project = new TemporaryFolder({ '.rmtx.json': read('valid', `${name}.json`) });
    return resolveConfig({ cwd: project.path });
  };

  for (const name of readdirSync(path.join(fixtures, 'valid')))
    test(`accepts ${name}`, () => {
      assert.ok(resolveFixture(name.replace('.json', '')));
    });

  test('an empty config has every default', () => {
    using project = new TemporaryFolder({ '.rmtx.json': '{}' });
    assert.deepEqual(resolveConfig({ cwd: project.path }), {
      projectRoot: project.path,
      configFile: project.at('.rmtx.json'),
      localFile: undefined,
      contextName: path.basename(project.path),
      host: undefined,
      hostFingerprint: undefined,
      discovery: { isEnabled: true, service: 'rmtx', timeoutMs: 750 },
      mounts: [{ path: '.', exclude: [] }],
      ignore: ['.git/**'],
      ignoreGitignore: false,
      syncBack: null,
      keepOnHost: [],
      envForward: [],
      runtime: { type: 'process' },
      origins: new Map(),
    });
  });

  test('every key arrives, in normal form', () => {
    const { discovery, mounts, ignore, syncBack, keepOnHost, ...rest } =
      resolveFixture('every-key');
    assert.deepEqual(discovery, { isEnabled: false, service: 'lab-2', timeoutMs: 1500 });
    assert.deepEqual(mounts, [
      { path: 'packages/a', exclude: ['tmp/**', 'cache/'] },
      { path: 'docs', exclude: [] },
    ]);
    assert.deepEqual(ignore, ['.git/**', '**/*.[oa]', '{a,b}/c']);
    assert.deepEqual(syncBack, ['packages/', 'doc*/out', '**/report.json', '{packages,docs}/x']);
    assert.deepEqual(keepOnHost, [':gitignored', 'node_modules/']);
    assert.equal(rest.contextName, 'Ünïcode name');
    assert.equal(rest.host, '[fe80::1]:33221');
    assert.equal(rest.hostFingerprint, `sha256:${'ab'.repeat(32)}`);
    assert.deepEqual(rest.envForward, ['CI', 'GITHUB_*', 'NODE_OPTION?']);
    assert.deepEqual(rest.runtime, {
      type: 'oci',
      image: 'ubuntu',
      pullPolicy: 'always',
      workdir: '/workspace',
      network: 'none',
      user: 'root',
      gpu: 'nvidia',
      wslDistro: undefined,
      setup: { imageCommands: [], contextCommands: [], contextInputs: undefined },
      volumes: [],
    });
  });

  test('an empty list is not the same as none', () => {
    assert.deepEqual(resolveFixture('sync-back-nothing').syncBack, []);
    assert.equal(resolveFixture('sync-back-null').syncBack, null);
    assert.deepEqual(resolveFixture('ignore-nothing').ignore, []);
  });

  test("the seed's example keeps its meaning", () => {
    const config = resolveFixture('seed-minimal');
    assert.equal(config.contextName, 'my-project');
    assert.equal(config.hostFingerprint, PIN);
    assert.deepEqual(config.ignore, ['.git/**', 'node_modules/**']);
    assert.equal(config.ignoreGitignore, true);
  });
});

test('.rmtx.json.example is a valid config', () => {
  const text = readFileSync(path.join(repository, '.rmtx.json.example'), 'utf8');
  using project = new TemporaryFolder({ '.rmtx.json': text });
  assert.equal(resolveConfig({ cwd: project.path }).contextName, 'my-project');
});

test('the runtime that the example shows in a comment is valid', () => {
  const text = readFileSync(path.join(repository, '.rmtx.json.example'), 'utf8');
  const shown = text
    .replace(/^ {2}\/\/ ("runtime": \{)$/m, '  $1')
    .replace(/^ {2}\/\/ ( .*|\},)$/gm, '  $1');
  using project = new TemporaryFolder({ '.rmtx.json': shown });
  assert.equal(resolveConfig({ cwd: project.path }).runtime.type, 'oci');
});
