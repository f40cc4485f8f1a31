import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameHint } from '../../../src/client/name-hint.js';

test('the nearest names come first, three at the most, and where to find the others', () => {
  const list = '(rmtx hosts list shows them)';
  assert.equal(
    nameHint('Bilder', ['bulder', 'attic', 'builders', 'bilde', 'builder']),
    `no paired host is called Bilder; did you mean bulder or bilde or builder? ${list}`,
  );
  assert.equal(nameHint('far', ['builder']), `no paired host is called far ${list}`);
  assert.equal(nameHint('e\u001bl', []), `no paired host is called e\\x1bl ${list}`);
});

test('an address is no slip of a name', () => {
  for (const address of ['10.0.0.5', 'fe80::1%eth0', '::1'])
    assert.equal(nameHint(address, ['10-0-0-5', 'fe80']), undefined);
});
