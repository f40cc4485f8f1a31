import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  interfacesKey,
  interfacesOf,
  lanInterfaces,
  subnetCheck,
} from '../../../src/discovery/lan-interfaces.js';
import type { LanInterface } from '../../../src/discovery/lan-interfaces.js';

const lo: LanInterface = {
  name: 'lo',
  isLoopback: true,
  ipv4: [{ address: '127.0.0.1', cidr: '127.0.0.1/8', broadcast: '127.255.255.255' }],
  zone: undefined,
  ipv6: [{ address: '::1', cidr: '::1/128' }],
};
const eth0: LanInterface = {
  name: 'eth0',
  isLoopback: false,
  ipv4: [{ address: '192.168.1.5', cidr: '192.168.1.5/24', broadcast: '192.168.1.255' }],
  zone: 'eth0',
  ipv6: [{ address: 'fe80::5', cidr: 'fe80::5/64' }],
};

test('a host is told of where it can be reached', () => {
  const all = [lo, eth0];
  const names = (listening: string): string[] =>
    interfacesOf(all, listening).map(
      ({ name, zone, ipv4 }) => `${name} ${ipv4.length} ${zone ?? '-'}`,
    );
  assert.deepEqual(names('::'), ['lo 1 -', 'eth0 1 eth0']);
  assert.deepEqual(names('0.0.0.0'), ['lo 1 -', 'eth0 1 -']);
  assert.deepEqual(names('127.0.0.1'), ['lo 1 -']);
  assert.deepEqual(names('192.168.1.5'), ['eth0 1 -']);
  assert.deepEqual(names('fe80::5%eth0'), ['eth0 0 eth0']);
  assert.deepEqual(names('10.1.1.1'), []);
});

test('knows what is near', () => {
  const isNear = subnetCheck([lo, eth0]);
  for (const address of ['192.168.1.77', '127.3.2.1', '::1', 'fe80::9%eth0'])
    assert.ok(isNear(address), address);
  for (const address of ['192.168.2.1', '10.0.0.1', 'fd00::1', 'nonsense', ''])
    assert.equal(isNear(address), false, address);
});

test('this machine has interfaces that can be told apart', () => {
  const all = lanInterfaces();
  assert.ok(all.every(({ name }) => name !== ''));
  assert.equal(interfacesKey(all), interfacesKey(lanInterfaces()));
  assert.notEqual(interfacesKey([lo]), interfacesKey([lo, eth0]));
});
