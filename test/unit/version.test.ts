import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { VERSION } from '../../src/version.js';

test('the version is the one in package.json', () => {
  const file = path.resolve(__dirname, '../../../package.json');
  assert.equal(VERSION, (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version);
});
