import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EscapeKeys } from '../../../src/client/escape-keys.js';
import type { EscapeAction } from '../../../src/client/escape-keys.js';

/** What goes to the command, and what rmtx is asked for, when this is typed in these reads. */
function typing(...reads: string[]): { bytes: string; actions: EscapeAction[] } {
  const keys = new EscapeKeys();
  const taken = reads.map((read) => keys.take(Buffer.from(read, 'latin1')));
  return {
    bytes: Buffer.concat(taken.map(({ bytes }) => bytes)).toString('latin1'),
    actions: taken.flatMap(({ action }) => action ?? []),
  };
}

for (const [what, reads, bytes, actions] of [
  ['leaves at ~. as the first thing typed', ['~', '.'], '', ['leave']],
  ['leaves at ~. after Enter', ['ls', '\r', '~', '.'], 'ls\r', ['leave']],
  ['leaves at keys that came in one read', ['\r~.'], '\r', ['leave']],
  ['explains itself at ~?, and leaves after that', ['\r', '~?', '~.'], '\r', ['explain', 'leave']],
  ['types one ~ for two', ['\r~~.'], '\r~.', []],
  ['types ~ with what follows it', ['~', '/', 'x'], '~/x', []],
  ['knows no ~ within a line', ['a~.'], 'a~.', []],
  ['knows ~ followed by Enter as text', ['~\r', '~.'], '~\r', ['leave']],
  ['leaves a paste alone', ['\r', 'text\n~.\n~.\n'], '\rtext\n~.\n~.\n', []],
  ['does not lose a ~ before a paste', ['~', 'a long paste'], '~a long paste', []],
] as const)
  test(what, () => {
    assert.deepEqual(typing(...reads), { bytes, actions });
  });

test('passes anything without a ~ on as it is', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (reads) => {
      const clean = reads.map((read) =>
        Buffer.from(read.map((byte) => (byte === 0x7e ? 0 : byte))),
      );
      const keys = new EscapeKeys();
      const passed = clean.map((read) => keys.take(read).bytes);
      assert.deepEqual(Buffer.concat(passed), Buffer.concat(clean));
    }),
  );
});
