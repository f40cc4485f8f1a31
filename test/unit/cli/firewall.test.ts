import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findFirewall, firewallLines } from '../../../src/cli/firewall.js';
import type { Firewall } from '../../../src/transport/firewall-rule.js';

const needs = { tcpPort: 40_000, hasDiscovery: true, program: '/usr/bin/node' };
const ALL: readonly (Firewall | undefined)[] = [
  'ufw',
  'firewalld',
  'nftables',
  'iptables',
  'macos',
  'windows',
  undefined,
];

test('every firewall is told of every port, and of no more', () => {
  for (const firewall of ALL) {
    const text = firewallLines(firewall, needs).join('\n');
    for (const port of ['40000', '33222', '5353']) assert.ok(text.includes(port), firewall);
    const alone = firewallLines(firewall, { ...needs, hasDiscovery: false }).join('\n');
    assert.doesNotMatch(alone, /33222|5353|udp/i, firewall);
  }
});

test('the lines for ufw and firewalld are theirs', () => {
  assert.deepEqual(firewallLines('ufw', needs).slice(1), [
    'sudo ufw allow 40000/tcp',
    'sudo ufw allow 33222/udp',
    'sudo ufw allow 5353/udp',
  ]);
  assert.deepEqual(firewallLines('firewalld', needs).slice(1), [
    'sudo firewall-cmd --permanent --add-port=40000/tcp --add-port=33222/udp --add-port=5353/udp && sudo firewall-cmd --reload',
  ]);
});

test('looking for the firewall ends with one of those', async () => {
  assert.ok(ALL.includes(await findFirewall()));
});
