import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RmtxError, allErrorCodes } from '../../../src/errors.js';
import { encodeWireError, parseWireError } from '../../../src/protocol/wire-error.js';

const overTheWire = (error: unknown): RmtxError =>
  parseWireError(JSON.parse(JSON.stringify(encodeWireError(error))));

test('carries every code with its text, hint and retryability', () => {
  for (const code of allErrorCodes()) {
    for (const isRetryable of [true, false]) {
      const sent = new RmtxError(code, `about ${code}`, { hint: 'try this', isRetryable });
      const received = overTheWire(sent);
      assert.equal(received.code, code);
      assert.equal(received.message, `about ${code}`);
      assert.equal(received.hint, 'try this');
      assert.equal(received.isRetryable, isRetryable);
      assert.equal(received.family, sent.family);
    }
  }
});

test('leaves out a hint that is not there', () => {
  assert.equal(overTheWire(new RmtxError('ERR_RMTX_BAD_FLAG', 'no')).hint, undefined);
});

test('keeps the text of a code that this build does not know', () => {
  const received = parseWireError({ code: 'ERR_RMTX_FROM_THE_FUTURE', message: 'too warm' });
  assert.equal(received.code, 'ERR_RMTX_BAD_MESSAGE');
  assert.equal(received.message, 'ERR_RMTX_FROM_THE_FUTURE: too warm');
});

test('tells the other side of a bug without its stack', () => {
  const received = overTheWire(new TypeError('x is undefined'));
  assert.equal(received.code, 'ERR_RMTX_HOST_FAILED');
  assert.equal(received.message, 'this is a bug in rmtx: x is undefined');
});

test('makes the text of a peer harmless', () => {
  const received = parseWireError({
    code: 'ERR_RMTX_TIMED_OUT',
    message: '\u001b]52;c;AAAA\u0007done\nrmtx: error: fake \u202e',
    hint: '\u001b[2Jrm -rf /\r',
  });
  assert.equal(received.message, '\\x1b]52;c;AAAA\\x07done\\x0armtx: error: fake \\u{202e}');
  assert.equal(received.hint, '\\x1b[2Jrm -rf /\\x0d');
});

test('cuts text that is too long', () => {
  const received = parseWireError({ code: 'ERR_RMTX_TIMED_OUT', message: 'a'.repeat(100_000) });
  assert.equal(received.message.length, 2001);
});

for (const value of [null, undefined, 7, 'text', [], {}, { code: 5, message: {}, hint: [] }]) {
  test(`makes an error of ${JSON.stringify(value)}`, () => {
    const received = parseWireError(value);
    assert.equal(received.code, 'ERR_RMTX_BAD_MESSAGE');
    assert.equal(received.isRetryable, false);
  });
}

test('does not take a code from the prototype', () => {
  assert.equal(parseWireError(JSON.parse('{"code":"__proto__"}')).code, 'ERR_RMTX_BAD_MESSAGE');
  assert.equal(parseWireError({ code: 'toString' }).code, 'ERR_RMTX_BAD_MESSAGE');
});
