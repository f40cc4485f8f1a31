import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCommandLine } from '../../../src/cli/arguments.js';
import { forwardRequests } from '../../../src/cli/forward-flag.js';
import { isRmtxError } from '../../../src/errors.js';

function requestsOf(...values: readonly string[]): unknown {
  const flags = values.flatMap((value) => ['-L', value]);
  return forwardRequests(parseCommandLine(['exec', ...flags, '--', 'true']).flags);
}

test('-L names the port of the run, and the one here where it is another', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65_535 }), fc.nat(65_535), (port, localPort) => {
      assert.deepEqual(requestsOf(String(port)), [{ localPort: port, port }]);
      assert.deepEqual(requestsOf(`${localPort}:${port}`), [{ localPort, port }]);
    }),
  );
  assert.deepEqual(requestsOf('3000', '0:80', '0:80'), [
    { localPort: 3000, port: 3000 },
    { localPort: 0, port: 80 },
    { localPort: 0, port: 80 },
  ]);
});

test('anything else is a bad flag with a hint', () => {
  const odd = fc.oneof(
    fc.string({ minLength: 1 }).filter((text) => !text.startsWith('-')),
    fc.constantFrom('03000', '3000:', ':3000', '1:2:3', '3000 ', '+1', '1e3', '0x10', '[::1]:80'),
  );
  fc.assert(
    fc.property(odd, (text) => {
      fc.pre(!/^((0|[1-9]\d{0,4}):)?[1-9]\d{0,4}$/.test(text));
      assert.throws(
        () => requestsOf(text),
        (error) => isRmtxError(error) && error.code === 'ERR_RMTX_BAD_FLAG' && !!error.hint,
      );
    }),
  );
});
