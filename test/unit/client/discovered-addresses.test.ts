import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressesOf, heardAddresses } from '../../../src/client/discovered-addresses.js';
import { Responder } from '../../../src/discovery/responder.js';
import { fingerprintId } from '../../../src/trust/fingerprint.js';
import type { Fingerprint } from '../../../src/trust/fingerprint.js';

const pin = `sha256:${'ab'.repeat(32)}` as Fingerprint;
const remembered = [
  { host: '192.168.1.42', port: 33_221 },
  { host: 'box', port: 1 },
  { host: '192.168.1.42', port: 33_221 },
];

test('what is remembered comes first, each once, and nothing else where nobody is to look', async () => {
  const given = [];
  for await (const address of addressesOf(remembered)) given.push(address);
  assert.deepEqual(given, remembered.slice(0, 2));
});

test('then the pinned host is looked for, under its service, once somebody wants more', async () => {
  const service = `test-${process.pid}`;
  const facts = {
    service,
    name: 'box',
    port: 45_000,
    identityPrefix: fingerprintId(pin),
    isPairingOpen: false,
  };
  await using _host = new Responder({ facts: () => facts, listening: '127.0.0.1' });
  const over = new AbortController();
  let isLooking = false;
  const heard = () => {
    isLooking = true;
    return heardAddresses({ service, pins: [pin] }, { abortSignal: over.signal });
  };
  const given = [];
  for await (const address of addressesOf(remembered, heard)) {
    assert.equal(isLooking, given.length === 2);
    given.push(address);
    if (given.length === 3) break;
  }
  over.abort();
  assert.deepEqual(given, [...remembered.slice(0, 2), { host: '127.0.0.1', port: 45_000 }]);
});
