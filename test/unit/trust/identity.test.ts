import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { loadIdentity, loadOrCreateIdentity } from '../../../src/trust/identity.js';
import type { Identity } from '../../../src/trust/identity.js';
import { scratchDirectory } from './pairing-rig.js';

const mode = (file: string): number => statSync(file).mode & 0o777;

test('it is made once, private, and is the same ever after', () => {
  using scratch = scratchDirectory();
  const directory = path.join(scratch.path, 'state', 'identity');
  assert.equal(loadIdentity(directory), undefined);
  const made = loadOrCreateIdentity(directory);
  assert.deepEqual(loadOrCreateIdentity(directory), made);
  assert.deepEqual(loadIdentity(directory), made);
  assert.deepEqual(readdirSync(directory).sort(), ['cert.pem', 'key.pem']);
  assert.equal(mode(directory), 0o700);
  for (const name of ['key.pem', 'cert.pem']) assert.equal(mode(path.join(directory, name)), 0o600);
  tls.createSecureContext({ key: made.keyPem, cert: made.certPem });
});

test('processes that make it at once all end with the same one', async () => {
  using scratch = scratchDirectory();
  const directory = path.join(scratch.path, 'identity');
  const script = path.join(__dirname, 'create-identity.js');
  const run = promisify(execFile);
  const answers = await Promise.all(
    Array.from({ length: 6 }, () => run(process.execPath, [script, directory])),
  );
  const identities = answers.map(({ stdout }) => JSON.parse(stdout) as Identity);
  for (const identity of identities) assert.deepEqual(identity, identities[0]);
  assert.deepEqual(readdirSync(directory).sort(), ['cert.pem', 'key.pem']);
});

test('a kill between key and certificate loses nothing: the key gets its certificate', () => {
  using scratch = scratchDirectory();
  const made = loadOrCreateIdentity(scratch.path);
  rmSync(path.join(scratch.path, 'cert.pem'));
  const loaded = loadIdentity(scratch.path);
  assert.equal(loaded?.fingerprint, made.fingerprint);
  assert.equal(loaded.keyPem, made.keyPem);
});

test('a key or directory that others could read is closed and said', () => {
  using scratch = scratchDirectory();
  loadOrCreateIdentity(scratch.path);
  const keyFile = path.join(scratch.path, 'key.pem');
  chmodSync(keyFile, 0o644);
  chmodSync(scratch.path, 0o755);
  const notices: string[] = [];
  loadOrCreateIdentity(scratch.path, { onNotice: (message) => notices.push(message) });
  assert.equal(mode(keyFile), 0o600);
  assert.equal(mode(scratch.path), 0o700);
  assert.deepEqual(notices, [
    `${scratch.path} was open to other users; it is private now`,
    `${keyFile} was open to other users; it is private now`,
  ]);
});

test('a key that others could write is refused', () => {
  using scratch = scratchDirectory();
  loadOrCreateIdentity(scratch.path);
  chmodSync(path.join(scratch.path, 'key.pem'), 0o620);
  assert.throws(() => loadIdentity(scratch.path), {
    code: 'ERR_RMTX_STATE_UNSAFE',
    message: /key\.pem can be written by other users/,
  });
});

test('a link or a directory in the place of a file is refused', () => {
  for (const name of ['key.pem', 'cert.pem']) {
    using scratch = scratchDirectory();
    loadOrCreateIdentity(scratch.path);
    const file = path.join(scratch.path, name);
    renameSync(file, `${file}.real`);
    symlinkSync(`${file}.real`, file);
    assert.throws(() => loadOrCreateIdentity(scratch.path), {
      code: 'ERR_RMTX_STATE_UNSAFE',
      message: /is a symbolic link/,
    });
    rmSync(file);
    mkdirSync(file);
    assert.throws(() => loadOrCreateIdentity(scratch.path), { code: 'ERR_RMTX_STATE_UNSAFE' });
  }
});

test(
  'files and directories of another user are refused',
  { skip: process.getuid?.() === 0 ? false : 'only root can give files away' },
  () => {
    for (const name of ['.', 'key.pem', 'cert.pem']) {
      using scratch = scratchDirectory();
      loadOrCreateIdentity(scratch.path);
      chownSync(path.join(scratch.path, name), 12345, 12345);
      assert.throws(() => loadOrCreateIdentity(scratch.path), {
        code: 'ERR_RMTX_STATE_UNSAFE',
        message: /belongs to another user \(uid 12345/,
      });
    }
  },
);

test('what cannot be read is named, kept, and never replaced by a new identity', () => {
  const rsaPem = generateKeyPairSync('rsa', { modulusLength: 2048 })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
  const damages: [string, string | undefined][] = [
    ['key.pem', ''],
    ['key.pem', 'garbage'],
    ['key.pem', rsaPem],
    ['key.pem', 'x'.repeat(100_000)],
    ['key.pem', undefined],
    ['cert.pem', ''],
    ['cert.pem', 'garbage'],
  ];
  for (const [name, content] of damages) {
    using scratch = scratchDirectory();
    loadOrCreateIdentity(scratch.path);
    const file = path.join(scratch.path, name);
    if (content === undefined) rmSync(file);
    else writeFileSync(file, content);
    const before = hashOf(scratch.path);
    for (const load of [loadIdentity, loadOrCreateIdentity])
      assert.throws(() => load(scratch.path), {
        code: 'ERR_RMTX_STATE_CORRUPT',
        message: new RegExp(name),
      });
    assert.equal(hashOf(scratch.path), before);
  }
});

test('a certificate of another key is refused', () => {
  using scratch = scratchDirectory();
  const other = loadOrCreateIdentity(path.join(scratch.path, 'other'));
  const directory = path.join(scratch.path, 'mine');
  loadOrCreateIdentity(directory);
  writeFileSync(path.join(directory, 'cert.pem'), other.certPem);
  assert.throws(() => loadIdentity(directory), {
    code: 'ERR_RMTX_STATE_CORRUPT',
    message: /cert\.pem does not belong to key\.pem/,
  });
});

test('loading takes neither the certificate builder nor the curves', () => {
  using scratch = scratchDirectory();
  loadOrCreateIdentity(scratch.path);
  const script = `
    require(${JSON.stringify(require.resolve('../../../src/trust/identity.js'))})
      .loadIdentity(${JSON.stringify(scratch.path)});
    const loaded = Object.keys(require.cache).filter((file) => /node_modules/.test(file));
    process.stdout.write(JSON.stringify(loaded));`;
  return promisify(execFile)(process.execPath, ['-e', script]).then(({ stdout }) => {
    assert.deepEqual(JSON.parse(stdout), []);
  });
});

/** Of all that is in the directory. */
function hashOf(directory: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(directory).sort())
    hash.update(name).update(readFileSync(path.join(directory, name)));
  return hash.digest('hex');
}
