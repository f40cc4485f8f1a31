import assert from 'node:assert/strict';
import { test } from 'node:test';
import { factsFromTxt, factsToTxt } from '../../../src/discovery/dns-sd-txt.js';
import type { HostFacts } from '../../../src/discovery/packets.js';
import type { PeerId } from '../../../src/trust/fingerprint.js';

const box: HostFacts = {
  service: 'rmtx',
  name: 'box',
  port: 33_221,
  identityPrefix: '00000000000000aa' as PeerId,
  isPairingOpen: true,
  os: 'linux',
  arch: 'x64',
  cores: 16,
};

test('a TXT record says what the host says, but for the load', () => {
  assert.deepEqual(factsFromTxt(factsToTxt({ ...box, loadPercent: 3 }), box.port), box);
});

test('whatever else stands in one is refused or left out', () => {
  const txt = factsToTxt(box);
  for (const [other, port] of [
    [undefined, 1],
    ['v=1', 1],
    [[], 1],
    [{ ...txt, v: '2' }, 1],
    [{ ...txt, id: 'xyz' }, 1],
    [{ ...txt, service: 'a b' }, 1],
    [{ ...txt, name: 7 }, 1],
    [Object.create(txt) as object, 1],
    [txt, 0],
    [txt, 70_000],
    [txt, '22'],
    [txt, undefined],
  ] as const)
    assert.equal(factsFromTxt(other, port), undefined, JSON.stringify([other, port]));
  const odd = { ...txt, name: '\u001b[2Jbox', os: 'li nux', arch: '', cores: '1e9', extra: 'x' };
  assert.deepEqual(factsFromTxt(odd, 1), {
    ...box,
    name: '\\x1b[2Jbox',
    port: 1,
    os: undefined,
    arch: undefined,
    cores: undefined,
  });
});
