import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RmtxError, allErrorCodes } from '../../../src/errors.js';
import { exitCodeOfError } from '../../../src/cli/exit-code.js';

test('wrong usage is 2 for every command, exec included', () => {
  const error = new RmtxError('ERR_RMTX_BAD_FLAG', 'no such flag');
  for (const command of [undefined, 'exec', 'ping', 'host'])
    assert.equal(exitCodeOfError(error, command), 2);
});

test("rmtx's own failures are 125 for exec and 1 for other commands", () => {
  for (const code of allErrorCodes()) {
    const error = new RmtxError(code, 'x');
    if (error.family === 'usage' || code === 'ERR_RMTX_INTERRUPTED') continue;
    assert.equal(exitCodeOfError(error, 'exec'), 125, code);
    assert.equal(exitCodeOfError(error, 'ping'), 1, code);
  }
});

test('a bug is a failure of rmtx itself', () => {
  assert.equal(exitCodeOfError(new TypeError('x'), 'exec'), 125);
  assert.equal(exitCodeOfError(new TypeError('x'), undefined), 1);
});

test('an interruption is 130 everywhere', () => {
  const error = new RmtxError('ERR_RMTX_INTERRUPTED', 'interrupted');
  assert.equal(exitCodeOfError(error, 'exec'), 130);
  assert.equal(exitCodeOfError(error, 'init'), 130);
});
