import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sendWakePackets, wakePacket } from '../../../src/discovery/wake-packet.js';
import { hardwareAddressesOf } from '../../../src/host/hardware-addresses.js';
import { isHardwareAddress } from '../../../src/util/hardware-address.js';

test('a wake-up packet is six bytes of ones and sixteen times the address', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      const hex = Buffer.from(bytes).toString('hex');
      const packet = wakePacket((hex.match(/../g) ?? []).join(':'));
      assert.equal(packet.length, 102);
      assert.equal(packet.toString('hex'), 'ff'.repeat(6) + hex.repeat(16));
    }),
  );
});

test('only the address of one card is one', () => {
  for (const good of ['3c:7c:3f:01:02:03', '02:00:00:00:00:01'])
    assert.ok(isHardwareAddress(good), good);
  for (const bad of [
    '',
    '00:00:00:00:00:00',
    'ff:ff:ff:ff:ff:ff',
    '01:00:5e:00:00:fb',
    '3C:7C:3F:01:02:03',
    '3c-7c-3f-01-02-03',
    '3c:7c:3f:01:02',
    '3c:7c:3f:01:02:03\n',
    '3c:7c:3f:01:02:03:04',
    '$(reboot)',
  ])
    assert.equal(isHardwareAddress(bad), false, bad);
});

test('a host tells the card that the client came in by', () => {
  const at = (address: string, mac: string, internal = false): never =>
    ({ address, mac, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }) as never;
  const interfaces = {
    lo: [at('127.0.0.1', '00:00:00:00:00:00', true)],
    eth0: [at('192.168.1.5', '3C:7C:3F:01:02:03'), at('fe80::1', '3c:7c:3f:01:02:03')],
    wlan0: [at('192.168.2.5', '3c:7c:3f:01:02:04')],
    tun0: [at('10.8.0.2', '00:00:00:00:00:00')],
  };
  const told = (address?: string): string[] => hardwareAddressesOf(interfaces, address);
  assert.deepEqual(told('192.168.1.5'), ['3c:7c:3f:01:02:03']);
  assert.deepEqual(told('::ffff:192.168.2.5'), ['3c:7c:3f:01:02:04']);
  assert.deepEqual(told('fe80::1%eth0'), ['3c:7c:3f:01:02:03']);
  for (const none of ['127.0.0.1', '10.8.0.2', '192.168.9.9', undefined])
    assert.deepEqual(told(none), [], none);
});

test('the loopback is not woken, and a network that is gone costs nothing', async () => {
  const interfaces = [
    {
      name: 'lo',
      isLoopback: true,
      ipv4: [{ address: '127.0.0.1', cidr: '127.0.0.1/8', broadcast: '127.255.255.255' }],
      zone: undefined,
      ipv6: [],
    },
    {
      name: 'gone0',
      isLoopback: false,
      ipv4: [{ address: '198.51.100.7', cidr: '198.51.100.7/24', broadcast: '198.51.100.255' }],
      zone: undefined,
      ipv6: [],
    },
  ];
  assert.equal(await sendWakePackets(['02:00:00:00:00:01'], interfaces), 0);
});
