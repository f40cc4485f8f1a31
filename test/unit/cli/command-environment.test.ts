import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestedEnvironment } from '../../../src/cli/command-environment.js';

test('a value is everything after the first equals sign', () => {
  const env = requestedEnvironment(['A=1', 'B=', 'C=x=y', 'A=2'], {});
  assert.deepEqual(
    [...env],
    [
      ['A', '2'],
      ['B', ''],
      ['C', 'x=y'],
    ],
  );
});

test('a name alone takes the value from here', () => {
  assert.deepEqual([...requestedEnvironment(['CI'], { CI: 'true', OTHER: 'x' })], [['CI', 'true']]);
});

test('a name that is not set here is refused, and no value is ever in the message', () => {
  assert.throws(
    () => requestedEnvironment(['TOKEN=secret', 'GONE'], {}),
    (error: Error) => {
      assert.equal(error.message, '--env GONE: it is not set here');
      assert.doesNotMatch(JSON.stringify(error), /secret/);
      return true;
    },
  );
  assert.throws(() => requestedEnvironment(['=secret'], {}), {
    message: '--env needs a name before =',
  });
});
