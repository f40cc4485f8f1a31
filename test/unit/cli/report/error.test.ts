import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { RmtxError } from '../../../../src/errors.js';
import { errorParts, renderError } from '../../../../src/cli/report/error.js';

const plain = { isJson: false, isVerbose: false };
const verbose = { isJson: false, isVerbose: true };
const json = { isJson: true, isVerbose: false };

const refused = new RmtxError('ERR_RMTX_NOT_PAIRED', 'this machine is not paired with any host', {
  hint: 'run rmtx pair --host ADDR',
  cause: new Error('the socket was closed', { cause: new Error('read ECONNRESET') }),
});

test('a failure is one line, and a hint one more', () => {
  assert.equal(
    renderError(refused, plain),
    'rmtx: error: this machine is not paired with any host\nrmtx: hint: run rmtx pair --host ADDR\n',
  );
  assert.equal(
    renderError(new RmtxError('ERR_RMTX_TIMED_OUT', 'no answer'), plain),
    'rmtx: error: no answer\n',
  );
});

test('-v adds the code and what lies behind', () => {
  assert.equal(
    renderError(refused, verbose),
    'rmtx: error: this machine is not paired with any host\n' +
      'rmtx: hint: run rmtx pair --host ADDR\n' +
      'rmtx: code: ERR_RMTX_NOT_PAIRED\n' +
      'rmtx: cause: the socket was closed\n' +
      'rmtx: cause: read ECONNRESET\n',
  );
});

test('--json makes one object of it, without causes', () => {
  assert.equal(
    renderError(refused, json),
    '{"error":{"code":"ERR_RMTX_NOT_PAIRED","message":"this machine is not paired with any host","hint":"run rmtx pair --host ADDR"}}\n',
  );
});

test('text from elsewhere cannot move the cursor or add lines', () => {
  const hostile = new RmtxError('ERR_RMTX_HOST_FAILED', 'x\u001b[2J\nrmtx: hint: rm -rf', {
    hint: '\r!',
  });
  assert.equal(
    renderError(hostile, plain),
    'rmtx: error: x\\x1b[2J\\x0armtx: hint: rm -rf\nrmtx: hint: \\x0d!\n',
  );
});

test('a bug shows its stack and says that it is one', () => {
  const text = renderError(new TypeError('undefined is not a function'), plain);
  assert.match(
    text,
    /^rmtx: error: undefined is not a function\n {4}at [^]*\nrmtx: this is a bug in rmtx: please report it\n$/,
  );
  assert.deepEqual(errorParts(new TypeError('oops')), { code: 'ERR_RMTX_BUG', message: 'oops' });
  assert.match(renderError('thrown text', plain), /^rmtx: error: thrown text\n/);
  assert.match(renderError({ odd: 1 }, plain), /^rmtx: error: \{ odd: 1 \}\n/);
});

test("a refusal of the operating system is no bug, and keeps the system's code", () => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-error-'));
  try {
    readFileSync(path.join(directory, 'gone'));
    assert.fail('the file is there');
  } catch (error) {
    const text = renderError(error, plain);
    assert.match(text, /^rmtx: error: ENOENT: no such file or directory, open '.*gone'\n$/);
    assert.equal(errorParts(error).code, 'ENOENT');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a full disk says what to do', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
    syscall: 'write',
  });
  assert.equal(
    renderError(full, plain),
    'rmtx: error: ENOSPC: no space left on device, write\n' +
      'rmtx: hint: the disk is full: free some space and try again\n',
  );
});

test('an interruption is said without the word error', () => {
  assert.equal(
    renderError(new RmtxError('ERR_RMTX_INTERRUPTED', 'interrupted'), plain),
    'rmtx: interrupted\n',
  );
});
