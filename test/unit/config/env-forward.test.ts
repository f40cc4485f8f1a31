import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardedEnvironment } from '../../../src/config/env-forward.js';

const env = { CI: '1', CI_JOB: '2', ACI: '3', 'npm.x': '4', npmQx: '5', EMPTY: '' };

test('takes the named variables that are set, empty ones included', () => {
  assert.deepEqual(forwardedEnvironment(['CI', 'EMPTY', 'UNSET'], env), { CI: '1', EMPTY: '' });
});

test('patterns match whole names', () => {
  assert.deepEqual(forwardedEnvironment(['CI*'], env), { CI: '1', CI_JOB: '2' });
  assert.deepEqual(forwardedEnvironment(['?CI'], env), { ACI: '3' });
  assert.deepEqual(forwardedEnvironment(['npm.*'], env), { 'npm.x': '4' });
});

test('nothing named is nothing taken', () => {
  assert.deepEqual(forwardedEnvironment([], env), {});
});
