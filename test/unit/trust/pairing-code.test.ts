import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRmtxError } from '../../../src/errors.js';
import {
  derivePairingScalar,
  generatePairingCode,
  parsePairingCode,
} from '../../../src/trust/pairing-code.js';
import { anyText } from '../../support/any-text.js';

const codes = fc.constant(undefined).map(() => generatePairingCode());
/** Each run tries all neighbours of a code. */
const fewer = { numRuns: 25 };

function isAccepted(text: string): boolean {
  try {
    parsePairingCode(text);
    return true;
  } catch (error) {
    assert.ok(isRmtxError(error));
    assert.equal(error.code, 'ERR_RMTX_PAIRING_CODE_INVALID');
    return false;
  }
}

test('a generated code is eight digits and is accepted', () => {
  fc.assert(
    fc.property(codes, (code) => {
      assert.match(code, /^[0-9]{8}$/);
      assert.equal(parsePairingCode(code), code);
    }),
  );
});

test('every single wrong digit is caught', () => {
  fc.assert(
    fc.property(codes, (code) => {
      for (let at = 0; at < code.length; at++)
        for (const digit of '0123456789') {
          const typed = code.slice(0, at) + digit + code.slice(at + 1);
          assert.equal(isAccepted(typed), typed === code);
        }
    }),
    fewer,
  );
});

test('every swap of two neighbours is caught', () => {
  fc.assert(
    fc.property(codes, (code) => {
      for (let at = 0; at + 1 < code.length; at++) {
        const swapped = `${code.slice(0, at)}${code[at + 1] ?? ''}${code[at] ?? ''}${code.slice(at + 2)}`;
        assert.equal(isAccepted(swapped), swapped === code);
      }
    }),
    fewer,
  );
});

test('the check digit is Damm’s', () => {
  assert.equal(parsePairingCode('0000 5724'), '00005724');
});

test('one code in ten has a fitting check digit', () => {
  const accepted = Array.from({ length: 1000 }, (_, number) =>
    isAccepted(String(number).padStart(8, '0')),
  );
  assert.equal(accepted.filter(Boolean).length, 100);
});

test('spaces and dashes are no part of it, and leading zeros are', () => {
  assert.equal(parsePairingCode('0000 0000'), '00000000');
  assert.equal(parsePairingCode(' 1234-5671\n'), '12345671');
  assert.equal(parsePairingCode('12 34\u00a0\u201356 71'), '12345671');
});

test('anything else is refused without repeating it', () => {
  for (const text of ['', '1234567', '123456710', '1234567a', '+1234567', '１２３４５６７１'])
    assert.throws(
      () => parsePairingCode(text),
      (error) => isRmtxError(error) && (text === '' || !error.message.includes(text)),
    );
});

test('text of any kind is accepted or refused, nothing else', () => {
  fc.assert(fc.property(anyText(), (text) => void isAccepted(text)));
});

test('the scalar depends on the code alone', async () => {
  const [first, second, other] = await Promise.all([
    derivePairingScalar(parsePairingCode('12345671')),
    derivePairingScalar(parsePairingCode('1234 5671')),
    derivePairingScalar(parsePairingCode('00000000')),
  ]);
  assert.equal(first.length, 32);
  assert.deepEqual(first, second);
  assert.notDeepEqual(first, other);
});
