import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import { localAddresses } from '../../../src/util/local-addresses.js';

test('only addresses that other machines can use are named, IPv4 first', () => {
  const addresses = localAddresses();
  const families = addresses.map((address) => isIP(address));
  assert.deepEqual(families, [...families].sort());
  for (const address of addresses) assert.doesNotMatch(address, /^(127\.|::1$|fe80)/);
});
