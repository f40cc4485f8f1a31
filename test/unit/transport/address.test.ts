import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, parseAddress, plainIpAddress } from '../../../src/transport/address.js';

test('reads names, IPv4 and IPv6 with and without a port', () => {
  const cases: [string, string, number][] = [
    ['box', 'box', 33221],
    ['box.local:99', 'box.local', 99],
    ['192.168.1.42', '192.168.1.42', 33221],
    ['192.168.1.42:1', '192.168.1.42', 1],
    ['::1', '::1', 33221],
    ['[::1]', '::1', 33221],
    ['[fe80::1%eth0]:5', 'fe80::1%eth0', 5],
    [' box ', 'box', 33221],
  ];
  for (const [text, host, port] of cases) assert.deepEqual(parseAddress(text), { host, port });
});

test('refuses what is no address, and says how one looks', () => {
  for (const text of [
    '',
    'a b',
    'box:',
    'box:x',
    'box:70000',
    '[nonsense]:1',
    'http://box',
    'user@box',
    ':1:2',
  ])
    assert.throws(() => parseAddress(text), { code: 'ERR_RMTX_BAD_ARGUMENT' }, text);
});

test('an address survives being written down', () => {
  for (const text of ['box:1', '[::1]:2', '10.0.0.1:3'])
    assert.equal(formatAddress(parseAddress(text)), text);
});

test('an IPv4 peer of a socket for both families is named as people do', () => {
  assert.equal(plainIpAddress('::ffff:192.168.1.42'), '192.168.1.42');
  for (const same of ['192.168.1.42', '::1', 'fe80::1%eth0', '::ffff:c0a8:12a'])
    assert.equal(plainIpAddress(same), same);
});
