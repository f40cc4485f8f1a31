import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  foundHostLine,
  foundHostLines,
  silenceLines,
} from '../../../../src/cli/report/found-hosts.js';
import type { DiscoveredHost } from '../../../../src/discovery/sightings.js';
import type { PeerId } from '../../../../src/trust/fingerprint.js';

function found(name: string, rest: Partial<DiscoveredHost['facts']> = {}): DiscoveredHost {
  const identityPrefix = (rest.identityPrefix ?? '00000000000000aa') as PeerId;
  const facts = {
    service: 'rmtx',
    name,
    port: 33_221,
    identityPrefix,
    isPairingOpen: false,
    ...rest,
  };
  return { name, identityPrefix, facts, addresses: [{ host: '192.168.1.42', port: 33_221 }] };
}

const box = found('box', {
  os: 'linux',
  arch: 'x64',
  cores: 16,
  loadPercent: 12,
  isPairingOpen: true,
});

test('hosts are a list to choose from', () => {
  const attic = { ...found('attic', { cores: 1 }), addresses: [{ host: 'fe80::1%eth0', port: 1 }] };
  assert.deepEqual(foundHostLines([attic, box]), [
    '   NAME   SYSTEM     ADDRESS             LOAD             PAIRING',
    '1  attic  -          [fe80::1%eth0]:1    1 core           run rmtx host pair-code there',
    '2  box    linux x64  192.168.1.42:33221  12% of 16 cores  pairable now',
  ]);
});

test('two hosts with one name can be told apart', () => {
  const [, first, second] = foundHostLines([
    box,
    found('box', { identityPrefix: 'bb'.repeat(8) as PeerId }),
  ]);
  assert.match(first ?? '', /^1 {2}box \(00000000…\) /);
  assert.match(second ?? '', /^2 {2}box \(bbbbbbbb…\) /);
});

test('one host is a line', () => {
  assert.equal(foundHostLine(box), 'box at 192.168.1.42:33221 (linux x64, 16 cores, pairable now)');
  assert.equal(foundHostLine(found('box')), 'box at 192.168.1.42:33221');
});

test('silence comes with what to do about it', () => {
  assert.deepEqual(silenceLines(['eth0 (192.168.1.5)'], 10_500), [
    'no host has answered yet on eth0 (192.168.1.5)',
    '  is one running?      start it on the other machine: rmtx host',
    '  know its address?    press Ctrl-C and type: rmtx init --host ADDR',
    '  a firewall there?    it may still be heard: listening for 10.5s more',
  ]);
});
