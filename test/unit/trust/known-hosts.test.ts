import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Fingerprint } from '../../../src/trust/fingerprint.js';
import {
  findKnownHost,
  findKnownHostAt,
  forgetKnownHost,
  listKnownHosts,
  rememberMeeting,
  saveKnownHost,
} from '../../../src/trust/known-hosts.js';
import type { KnownHost } from '../../../src/trust/known-hosts.js';
import { randomFingerprint, scratchDirectory } from './pairing-rig.js';
import { anyText } from '../../support/any-text.js';

class Rig implements Disposable {
  readonly #scratch = scratchDirectory();
  readonly directory = path.join(this.#scratch.path, 'hosts');

  save(hostName: string, address: string, fingerprint?: Fingerprint): KnownHost {
    return saveKnownHost(this.directory, {
      hostName,
      address,
      fingerprint: fingerprint ?? randomFingerprint(),
    });
  }

  names(): string[] {
    return listKnownHosts(this.directory).map(({ name }) => name);
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}

test('a host is known from pairing to forgetting', () => {
  using rig = new Rig();
  assert.deepEqual(listKnownHosts(rig.directory), []);
  const host = rig.save('big-box', '10.0.0.5:33221');
  const known = listKnownHosts(rig.directory);
  assert.deepEqual(known, [host]);
  assert.equal(host.lastAddress, '10.0.0.5:33221');
  assert.deepEqual(host.addresses, ['10.0.0.5:33221']);
  for (const named of ['big-box', 'BIG-box', host.id, host.fingerprint])
    assert.deepEqual(findKnownHost(known, named), host);
  assert.equal(findKnownHost(known, '10.0.0.5:33221'), undefined);
  assert.deepEqual(findKnownHostAt(known, '10.0.0.5:33221'), host);
  assert.equal(findKnownHostAt(known, '10.0.0.5:33222'), undefined);
  assert.equal(statSync(path.join(rig.directory, `${host.id}.json`)).mode & 0o777, 0o600);

  assert.deepEqual(forgetKnownHost(rig.directory, 'Big-Box'), host);
  assert.deepEqual(readdirSync(rig.directory), []);
  assert.throws(() => forgetKnownHost(rig.directory, 'big-box'), { code: 'ERR_RMTX_UNKNOWN_HOST' });
});

test('pairing again keeps the other addresses and takes the new name', () => {
  using rig = new Rig();
  const { fingerprint } = rig.save('old', 'a:1');
  const host = rig.save('new', 'b:1', fingerprint);
  assert.deepEqual(host.addresses, ['b:1', 'a:1']);
  assert.deepEqual(rig.names(), ['new']);
  for (let port = 1; port < 20; port++) rig.save('new', `c:${port}`, fingerprint);
  const [only, ...rest] = listKnownHosts(rig.directory);
  assert.equal(only?.addresses.length, 8);
  assert.equal(only.addresses[0], 'c:19');
  assert.equal(rest.length, 0);
});

test('where a host answers is remembered, and a forgotten one is not brought back', () => {
  using rig = new Rig();
  const host = rig.save('big-box', 'a:1');
  rememberMeeting(rig.directory, host.fingerprint, { address: 'b:1' });
  assert.equal(listKnownHosts(rig.directory)[0]?.lastAddress, 'b:1');
  rememberMeeting(rig.directory, randomFingerprint(), { address: 'c:1' });
  forgetKnownHost(rig.directory, host.name);
  rememberMeeting(rig.directory, host.fingerprint, { address: 'd:1' });
  assert.deepEqual(readdirSync(rig.directory), []);
});

test('that a host had to dial back is remembered until it is reached', () => {
  using rig = new Rig();
  const { fingerprint } = rig.save('big-box', 'a:1');
  const noted = (): string | undefined => listKnownHosts(rig.directory)[0]?.dialedBackTo;
  assert.equal(noted(), undefined);
  for (const dialedBackTo of ['10.0.0.4', '10.0.0.5', undefined]) {
    rememberMeeting(rig.directory, fingerprint, { address: 'a:1', dialedBackTo });
    assert.equal(noted(), dialedBackTo);
  }
  const paired = { hostName: 'big-box', fingerprint, address: 'b:1', dialedBackTo: '10.0.0.4' };
  assert.deepEqual(saveKnownHost(rig.directory, paired), listKnownHosts(rig.directory)[0]);
  assert.equal(noted(), '10.0.0.4');
});

test('names are unique whatever their case', () => {
  using rig = new Rig();
  assert.equal(rig.save('box', 'a:1').name, 'box');
  assert.equal(rig.save('Box', 'b:1').name, 'Box-2');
  assert.equal(rig.save('box', 'c:1').name, 'box-3');
});

test('two hosts at two ports of one machine keep their names', () => {
  using rig = new Rig();
  rig.save('vm', 'vm:1');
  assert.equal(rig.save('vm', 'vm:2').name, 'vm-2');
  assert.deepEqual(rig.names(), ['vm', 'vm-2']);
});

test('no host can be meant by calling itself by the address of another', () => {
  using rig = new Rig();
  const real = rig.save('build', 'build.example:1');
  assert.equal(rig.save('build.example', 'a:1').name, 'build.example-2');

  const early = rig.save('later.example', 'b:1');
  const late = rig.save('later', 'later.example:1');
  const known = listKnownHosts(rig.directory);
  assert.equal(findKnownHost(known, 'later.example'), undefined);
  assert.equal(findKnownHostAt(known, 'later.example:1')?.id, late.id);
  assert.equal(known.find(({ id }) => id === early.id)?.name, 'later.example-2');
  assert.equal(findKnownHostAt(known, 'build.example:1')?.id, real.id);
});

test('an address belongs to the host that was paired with there last', () => {
  using rig = new Rig();
  const before = rig.save('old', 'a:1');
  writeFileSync(
    path.join(rig.directory, `${before.id}.seen`),
    JSON.stringify({ at: '2020-01-01T00:00:00.000Z', address: 'a:1' }),
  );
  const after = rig.save('new', 'a:1');
  const known = listKnownHosts(rig.directory);
  assert.deepEqual(known.find(({ id }) => id === before.id)?.addresses, []);
  assert.equal(findKnownHostAt(known, 'a:1')?.id, after.id);
});

test('whatever a host calls itself, its name is a plain word and no address', () => {
  using rig = new Rig();
  const { fingerprint } = rig.save('x', 'a:1');
  assert.equal(rig.save('192.168.1.5', 'a:1', fingerprint).name, 'host-192.168.1.5');
  assert.equal(rig.save('ssh:other', 'a:1', fingerprint).name, 'ssh-other');
  assert.equal(rig.save('--help', 'a:1', fingerprint).name, 'help');
  assert.equal(rig.save('Anna’s Mac', 'a:1', fingerprint).name, 'Anna-s-Mac');
  assert.equal(rig.save('', 'a:1', fingerprint).name, 'unnamed');
  fc.assert(
    fc.property(anyText(100), (text) => {
      const { name } = rig.save(text, 'a:1', fingerprint);
      assert.match(name, /^[\p{L}\p{N}_][\p{L}\p{N}._-]{0,70}$/u);
      assert.deepEqual(rig.names(), [name]);
    }),
    { numRuns: 10 },
  );
});

test('a corrupt file is set aside alone and said', () => {
  using rig = new Rig();
  const kept = rig.save('kept', 'a:1');
  const broken = rig.save('broken', 'b:1');
  const file = path.join(rig.directory, `${broken.id}.json`);
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.slice(0, 50));
  writeFileSync(path.join(rig.directory, `${kept.id}.seen`), 'broken, and no matter');
  const lines: string[] = [];
  const known = listKnownHosts(rig.directory, { log: (line) => lines.push(line) });
  assert.deepEqual(known, [{ ...kept, lastAddress: undefined, lastSeen: undefined }]);
  assert.match(lines.join(), new RegExp(`${broken.id}\\.json is not JSON; it is set aside`));
  assert.equal(readFileSync(`${file}.corrupt`, 'utf8'), text.slice(0, 50));
});
