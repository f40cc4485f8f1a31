import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostFacts } from '../../../src/discovery/packets.js';
import { Sightings } from '../../../src/discovery/sightings.js';
import type { PeerId } from '../../../src/trust/fingerprint.js';

const box: HostFacts = {
  service: 'rmtx',
  name: 'box',
  port: 33_221,
  identityPrefix: '00000000000000aa' as PeerId,
  isPairingOpen: false,
  loadPercent: 12,
};

const near = (address: string): boolean =>
  address.startsWith('192.168.1.') || address.startsWith('127.') || address.startsWith('fe80:');

const addressesOf = (sightings: Sightings, index = 0): string[] =>
  sightings.hosts[index]?.addresses.map(({ host }) => host) ?? [];

test('a host with several addresses is one host, the best address first', () => {
  const sightings = new Sightings(near);
  for (const address of ['10.9.9.9', 'fe80::1%eth0', '192.168.1.42', '127.0.0.1', 'fd00::1'])
    assert.notEqual(sightings.note(box, address, 'direct'), undefined);
  assert.equal(sightings.note(box, '192.168.1.42', 'direct'), undefined);
  sightings.note(box, '192.168.1.7', 'reported');
  assert.equal(sightings.hosts.length, 1);
  assert.deepEqual(addressesOf(sightings), [
    '192.168.1.42',
    'fe80::1%eth0',
    '127.0.0.1',
    '10.9.9.9',
    'fd00::1',
    '192.168.1.7',
  ]);
});

test('two hosts with one name are two, and so is one whose identity somebody else claims', () => {
  const sightings = new Sightings(near);
  sightings.note(box, '192.168.1.42', 'direct');
  sightings.note({ ...box, identityPrefix: 'ff'.repeat(8) as PeerId }, '192.168.1.66', 'direct');
  sightings.note({ ...box, name: 'attic' }, '192.168.1.66', 'direct');
  assert.deepEqual(
    sightings.hosts.map(({ name, identityPrefix }) => `${name} ${identityPrefix}`),
    ['attic 00000000000000aa', 'box 00000000000000aa', 'box ffffffffffffffff'],
  );
});

test('who lies adds an address, and takes none away', () => {
  const sightings = new Sightings(near);
  sightings.note(box, '192.168.1.42', 'direct');
  sightings.note(box, '192.168.1.43', 'reported');
  for (let n = 100; n < 200; n++) sightings.note(box, `192.168.1.${n}`, 'reported');
  assert.equal(addressesOf(sightings).length, 8);
  for (let n = 0; n < 1000; n++)
    sightings.note({ ...box, port: 1000 + n }, '192.168.1.66', 'direct');
  const [host] = sightings.hosts;
  assert.equal(host?.addresses.length, 8);
  assert.deepEqual(host?.addresses[0], { host: '192.168.1.42', port: 33_221 });
});

test('what was heard directly takes the place of what somebody reported', () => {
  const sightings = new Sightings(near);
  for (let n = 1; n <= 8; n++) sightings.note(box, `10.0.0.${n}`, 'reported');
  assert.notEqual(sightings.note(box, '192.168.1.42', 'direct'), undefined);
  assert.equal(addressesOf(sightings)[0], '192.168.1.42');
  assert.equal(addressesOf(sightings).length, 8);
  sightings.note(box, '10.0.0.1', 'direct');
  assert.equal(addressesOf(sightings)[1], '10.0.0.1');
});

test('there is an end to hosts, too; what they say last counts', () => {
  const sightings = new Sightings(near);
  for (let n = 0; n < 1000; n++)
    sightings.note({ ...box, name: `box${n}` }, '192.168.1.66', 'direct');
  assert.equal(sightings.hosts.length, 64);
  const one = new Sightings(near);
  one.note(box, '192.168.1.42', 'direct');
  one.note({ ...box, isPairingOpen: true, loadPercent: undefined }, '192.168.1.42', 'direct');
  assert.deepEqual(one.hosts[0]?.facts, { ...box, isPairingOpen: true });
});

test('who makes up hosts keeps none out that others tell of', () => {
  const sightings = new Sightings(near);
  const madeUp = (n: number): HostFacts => ({ ...box, name: `made-up ${n}` });
  for (let n = 0; n < 1000; n++) sightings.note(madeUp(n), '192.168.1.66', 'direct');
  sightings.note(box, '192.168.1.42', 'direct');
  for (let n = 1000; n < 2000; n++) sightings.note(madeUp(n), '192.168.1.66', 'direct');
  assert.equal(sightings.hosts.length, 64);
  assert.deepEqual(sightings.hosts[0]?.addresses, [{ host: '192.168.1.42', port: 33_221 }]);
});

test('the host that is meant finds room where each of many neighbours makes one up', () => {
  const meant = 'bb'.repeat(8) as PeerId;
  const sightings = new Sightings(near, meant);
  const madeUp = (n: number): void =>
    void sightings.note({ ...box, name: `made-up ${n}` }, `192.168.1.${n}`, 'direct');
  for (let n = 1; n <= 100; n++) madeUp(n);
  sightings.note({ ...box, identityPrefix: meant }, '192.168.1.201', 'direct');
  for (let n = 101; n <= 200; n++) madeUp(n);
  assert.equal(sightings.hosts.length, 64);
  assert.ok(sightings.hosts.some(({ identityPrefix }) => identityPrefix === meant));
});
