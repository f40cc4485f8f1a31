import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_LABEL_LENGTH, safeLabel } from '../../../src/trust/label.js';
import { anyText } from '../../support/any-text.js';

test('ordinary names stay as they are', () => {
  for (const name of ['laptop', 'Anna’s MacBook Pro', 'build-01.local', '工作站', 'größe'])
    assert.equal(safeLabel(name), name);
});

test('what would move, hide or reorder text is escaped', () => {
  assert.equal(safeLabel('a\nb'), 'a\\x0ab');
  assert.equal(safeLabel('\u001b]0;title\u0007'), '\\x1b]0;title\\x07');
  assert.equal(safeLabel('\u202etxt.exe'), '\\u{202e}txt.exe');
});

test('nothing to show has a name, too', () => {
  for (const text of ['', '   ', '\t']) assert.match(safeLabel(text), /^(unnamed|\\x09)$/);
});

test('whatever comes in, what comes out is short, printable, and stays', () => {
  fc.assert(
    fc.property(anyText(600), (text) => {
      const label = safeLabel(text);
      assert.ok(label.length > 0 && label.length <= MAX_LABEL_LENGTH);
      assert.doesNotMatch(
        label,
        /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\ud800-\udfff]/u,
      );
      assert.equal(safeLabel(label), label);
    }),
  );
});
