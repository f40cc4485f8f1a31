import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const BUNDLE = path.resolve(__dirname, '../../bundle');

function read(name: string): { readonly bytes: number; readonly builtins: readonly string[] } {
  const text = readFileSync(path.join(BUNDLE, name), 'utf8');
  const found = text.matchAll(/require\("(?:node:)?([a-z/_]+)"\)/g);
  return { bytes: text.length, builtins: [...new Set(Array.from(found, ([, it = '']) => it))] };
}

// Each of node's larger modules (crypto, tls, child_process, fs/promises …) costs 1 to 4 ms at its first use.
test('what leads to the first packet of exec stays small', () => {
  const allowed = ['buffer', 'fs', 'net', 'os', 'path', 'timers/promises', 'util'];
  const files = [read('main.js'), read('commands/exec.js')];
  const others = files.flatMap(({ builtins }) => builtins).filter((it) => !allowed.includes(it));
  assert.deepEqual(others, []);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  assert.ok(bytes < 122_000, `${bytes} bytes are parsed before the first packet`);
});
