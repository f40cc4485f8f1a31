import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ScreenModes } from '../../../src/client/screen-modes.js';

const ESC = '\x1b';

/** What undoes this output, that came in these pieces. */
function undoOf(...pieces: string[]): string {
  const modes = new ScreenModes();
  for (const piece of pieces) modes.see(Buffer.from(piece));
  return modes.undo();
}

for (const [what, output, undo] of [
  ['nothing of plain text and colours', `text ${ESC}[31mred${ESC}[m ${ESC}[2J${ESC}[3;4H`, ''],
  ['nothing of what was switched back', `${ESC}[?1049h${ESC}[?25l${ESC}[?25h${ESC}[?1049l`, ''],
  ['the other screen', `${ESC}[?1049h`, `${ESC}[m${ESC}[?1049l`],
  ['a hidden cursor', `${ESC}[?25l`, `${ESC}[m${ESC}[?25h`],
  ['several in one sequence', `${ESC}[?1;1000h`, `${ESC}[m${ESC}[?1l${ESC}[?1000l`],
  ['the keypad', `${ESC}=`, `${ESC}[m${ESC}>`],
  ['what keys send', `${ESC}[>4;2m${ESC}[>1u${ESC}[>5u`, `${ESC}[m${ESC}[>4m${ESC}[<2u`],
  ['nothing of that, where it was switched back', `${ESC}[>4;2m${ESC}[>1u${ESC}[<u${ESC}[>4;m`, ''],
  ['nothing before a reset', `${ESC}[?1049h${ESC}=${ESC}c`, ''],
  ['nothing that it does not know', `${ESC}[?12h${ESC}[?2026h${ESC}[4h`, ''],
] as const)
  test(`undoes ${what}`, () => {
    assert.equal(undoOf(output), undo);
  });

test('is done after it was asked for once', () => {
  const modes = new ScreenModes();
  modes.see(Buffer.from(`${ESC}[?1049h`));
  assert.notEqual(modes.undo(), '');
  assert.equal(modes.undo(), '');
});

test('sees the same however the output is cut', () => {
  const part = fc.constantFrom(
    ...[`${ESC}[?1049h`, `${ESC}[?1049l`, `${ESC}[?25l`, `${ESC}[?1;2004h`, `${ESC}=`, `${ESC}>`],
    ...[`${ESC}[>4;1m`, `${ESC}[>1u`, `${ESC}[<u`, ESC, 'ü', `${ESC}[`, '12'],
  );
  fc.assert(
    fc.property(fc.array(part), fc.array(fc.nat(100)), (parts, cuts) => {
      const whole = Buffer.from(parts.join(''));
      const modes = new ScreenModes();
      let from = 0;
      for (const at of [...cuts.sort((a, b) => a - b), whole.length]) {
        modes.see(whole.subarray(from, at));
        from = Math.min(at, whole.length);
      }
      assert.equal(modes.undo(), undoOf(parts.join('')));
    }),
  );
});
