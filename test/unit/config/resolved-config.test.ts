import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { effectiveValues } from '../../../src/config/effective-values.js';
import { resolveConfig } from '../../../src/config/resolved-config.js';
import { OTHER_PIN, PIN, TemporaryFolder, errorOf } from './project.js';

const shared = {
  version: 1,
  host: 'desk',
  tls: { host_fingerprint: PIN },
  env: { forward: ['CI', 'TERM'] },
};

describe('.rmtx.local.json', () => {
  test('overrides host, pin and forwarded names one by one', () => {
    using folder = new TemporaryFolder({
      '.rmtx.json': shared,
      '.rmtx.local.json': { host: 'lap' },
    });
    const first = resolveConfig({ cwd: folder.path });
    assert.deepEqual([first.host, first.hostFingerprint], ['lap', PIN]);
    assert.deepEqual(first.envForward, ['CI', 'TERM']);
    assert.equal(first.localFile, folder.at('.rmtx.local.json'));

    folder.write('.rmtx.local.json', {
      tls: { host_fingerprint: OTHER_PIN },
      env: { forward: ['MINE'] },
    });
    const second = resolveConfig({ cwd: folder.path });
    assert.deepEqual([second.host, second.hostFingerprint], ['desk', OTHER_PIN]);
    assert.deepEqual(second.envForward, ['MINE']);
  });

  test('takes no setting that belongs to the project', () => {
    using folder = new TemporaryFolder({
      '.rmtx.json': shared,
      '.rmtx.local.json': '{\n  "mounts": []\n}',
    });
    const error = errorOf(() => resolveConfig({ cwd: folder.path }));
    assert.equal(error.message, `${folder.at('.rmtx.local.json')}:2: mounts: unknown key`);
    assert.equal(
      error.hint,
      `"mounts" belongs into the project's .rmtx.json; here are only host, tls and env`,
    );
  });

  test('is not read without a config', () => {
    using folder = new TemporaryFolder({ '.rmtx.local.json': { host: 'lap' } });
    assert.equal(
      errorOf(() => resolveConfig({ cwd: folder.path })).code,
      'ERR_RMTX_CONFIG_NOT_FOUND',
    );
  });
});

describe('origins', () => {
  test('name file and line, the local file before the shared one', () => {
    using folder = new TemporaryFolder({
      '.rmtx.json':
        '{\n  "host": "desk",\n  "discovery": {\n    "timeout": "2s" },\n  "ignore": []\n}',
      '.rmtx.local.json': '// mine\n{ "host": "lap" }',
    });
    const { origins } = resolveConfig({ cwd: folder.path });
    const file = folder.at('.rmtx.json');
    assert.deepEqual(origins.get('host'), {
      kind: 'file',
      file: folder.at('.rmtx.local.json'),
      line: 2,
    });
    assert.deepEqual(origins.get('discovery.timeout'), { kind: 'file', file, line: 4 });
    assert.deepEqual(origins.get('ignore'), { kind: 'file', file, line: 5 });
    assert.equal(origins.get('discovery.enabled'), undefined);
  });

  test('are listed with every value in force', () => {
    using folder = new TemporaryFolder({
      '.rmtx.json': { sync_back: ['out/'], runtime: { type: 'oci', image: 'ubuntu' } },
    });
    const values = new Map(
      effectiveValues(resolveConfig({ cwd: folder.path })).map((each) => [each.key, each]),
    );
    assert.deepEqual(values.get('sync_back')?.value, ['out/']);
    assert.equal(values.get('sync_back')?.origin.kind, 'file');
    assert.deepEqual(values.get('ignore'), {
      key: 'ignore',
      value: ['.git/**'],
      origin: { kind: 'default' },
    });
    assert.equal(values.get('host')?.value, null);
    assert.equal(values.get('discovery.timeout')?.value, '750ms');
    assert.equal(values.get('runtime.image')?.value, 'ubuntu');
    assert.equal(values.get('runtime.network')?.origin.kind, 'default');
  });
});

describe('the context name', () => {
  test("is the folder's, cut where it is longer than a name may be", () => {
    const long = '😀'.repeat(60);
    using folder = new TemporaryFolder({ [`${long}/.rmtx.json`]: '{}', 'p/.rmtx.json': '{}' });
    assert.equal(resolveConfig({ cwd: folder.at('p') }).contextName, 'p');
    const name = resolveConfig({ cwd: folder.at(long) }).contextName;
    assert.equal(name, '😀'.repeat(60));
    assert.ok(name.length <= 200);
  });

  test('comes from the config where it gives one', () => {
    using folder = new TemporaryFolder({ '.rmtx.json': { context: { name: 'x y' } } });
    assert.equal(resolveConfig({ cwd: folder.path }).contextName, 'x y');
    assert.notEqual(path.basename(folder.path), 'x y');
  });
});

test('a byte order mark moves no line', () => {
  using folder = new TemporaryFolder({ '.rmtx.json': '\uFEFF{\n"version": 2 }' });
  const { message } = errorOf(() => resolveConfig({ cwd: folder.path }));
  assert.match(message, /\.rmtx\.json:2: version: 2 is not known/);
});

test('control characters of a config never reach the terminal', () => {
  using folder = new TemporaryFolder({ '.rmtx.json': '{ "a\\u001b[2Jb": 1 }' });
  const { message } = errorOf(() => resolveConfig({ cwd: folder.path }));
  assert.match(message, /: a\\x1b\[2Jb: unknown key$/);
});
