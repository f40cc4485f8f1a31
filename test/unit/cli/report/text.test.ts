import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonDocument, jsonLine, pathFields } from '../../../../src/cli/report/json.js';
import {
  count,
  keyValues,
  renderList,
  renderTable,
  tabLine,
} from '../../../../src/cli/report/text.js';
import { pathFromBytes } from '../../../../src/util/path-bytes.js';

test('a table has columns as wide as their widest cell and no blanks at the end', () => {
  assert.equal(
    renderTable(
      ['ID', 'NAME', 'SIZE'],
      [
        ['c1', 'a long name', '1MB'],
        ['c100', 'b', ''],
      ],
    ),
    'ID    NAME         SIZE\nc1    a long name  1MB\nc100  b\n',
  );
  assert.equal(renderTable(['ID', 'NAME'], []), 'ID  NAME\n');
});

test('cells from elsewhere cannot break the columns', () => {
  assert.equal(tabLine('deleted', 'a\tb', 'c\nd\u001b[0m'), 'deleted\ta\\x09b\tc\\x0ad\\x1b[0m\n');
  assert.equal(renderTable(['A'], [['x\ny']]), 'A\nx\\x0ay\n');
});

test('key=value pairs quote what would split', () => {
  assert.equal(
    keyValues({ version: '1.0', contexts: 3, host: 'My Box', label: '', note: 'say "hi"' }),
    String.raw`version=1.0 contexts=3 host="My Box" label="" note="say \"hi\""`,
  );
});

test('a list lines its values up', () => {
  assert.equal(
    renderList([
      ['name', 'desk'],
      ['fingerprint', 'sha256:00'],
    ]),
    'name         desk\nfingerprint  sha256:00\n',
  );
});

test('counts agree with their noun', () => {
  assert.deepEqual(
    [count(0, 'file'), count(1, 'file'), count(12_345, 'file')],
    ['0 files', '1 file', '12,345 files'],
  );
});

test('JSON is one document, or one line', () => {
  assert.equal(jsonDocument({ a: 1 }), '{\n  "a": 1\n}\n');
  assert.equal(jsonLine({ a: 'x\ny' }), '{"a":"x\\ny"}\n');
});

test('a name that is not UTF-8 travels as base64', () => {
  const name = pathFromBytes(Buffer.from([0x61, 0xff, 0x62]));
  assert.deepEqual(pathFields(name), { path_b64: 'Yf9i' });
  assert.deepEqual(pathFields('dir/ü'), { path: 'dir/ü' });
});
