import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressesOf } from '../../../src/client/discovered-addresses.js';
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
  for await (const address of addressesOf({ remembered, pins: [pin], lookAround: undefined }))
    given.push(address);
  assert.deepEqual(given, remembered.slice(0, 2));
});

test('then the pinned host is looked for, under its service', async () => {
  const service = `test-${process.pid}`;
  const facts = {
    service,
    name: 'box',
    port: 45_000,
    identityPrefix: fingerprintId(pin),
    isPairingOpen: false,
  };
  await using _host = new Responder({ facts: () => facts, listening: '127.0.0.1' });
  const given = [];
  const lookAround = { service, timeoutMs: 20_000 };
  for await (const address of addressesOf({ remembered, pins: [pin], lookAround })) {
    given.push(address);
    if (given.length === 3) break;
  }
  assert.deepEqual(given, [...remembered.slice(0, 2), { host: '127.0.0.1', port: 45_000 }]);
});
