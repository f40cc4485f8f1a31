import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ProgressLine } from '../../../../src/cli/report/progress.js';

const ERASE = '\r\u001b[K';

function createLine(t: TestContext, columns = 80) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  const written: string[] = [];
  const line = new ProgressLine({
    write: (text) => void written.push(text),
    columns: () => columns,
    now: () => nowMs,
  });
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 100) {
      nowMs += 100;
      t.mock.timers.tick(100);
    }
  };
  return { line, written, pass, take: () => written.splice(0) };
}

test('a short step writes nothing at all', (t) => {
  const { line, pass, take } = createLine(t);
  line.begin('scan', 'looking for changes');
  pass(900);
  line.end('scan');
  pass(5000);
  assert.deepEqual(take(), []);
});

test('a long step shows a line after a second, keeps it fresh, and erases it', (t) => {
  const { line, pass, take } = createLine(t);
  line.begin('upload', 'sending');
  pass(1000);
  assert.deepEqual(take(), [`${ERASE}rmtx: sending (1 s)`]);
  line.update('upload', 'sending: 1MB of 2MB');
  pass(1200);
  assert.equal(take().at(-1), `${ERASE}rmtx: sending: 1MB of 2MB (2 s)`);
  line.end('upload');
  assert.deepEqual(take(), [ERASE]);
  pass(5000);
  assert.deepEqual(take(), []);
});

test('of two slow steps the later one is shown, and then the other again', (t) => {
  const { line, pass, take } = createLine(t);
  line.begin('scan', 'scanning');
  line.begin('connect', 'connecting');
  pass(1000);
  assert.equal(take().at(-1), `${ERASE}rmtx: connecting (1 s)`);
  line.end('connect');
  take();
  pass(200);
  assert.equal(take().at(-1), `${ERASE}rmtx: scanning (1 s)`);
});

test('other text clears the line first, and it comes back', (t) => {
  const { line, pass, take } = createLine(t);
  line.erase();
  line.begin('scan', 'scanning');
  pass(1000);
  take();
  line.erase();
  line.erase();
  assert.deepEqual(take(), [ERASE]);
  pass(200);
  assert.equal(take().length, 1);
});

test('the line never reaches the last column', (t) => {
  const { line, pass, take } = createLine(t, 12);
  line.begin('scan', 'a very long description');
  pass(1000);
  assert.deepEqual(take(), [`${ERASE}rmtx: a ver`]);
});

test('stop clears for good, and can be said twice', (t) => {
  const { line, pass, take } = createLine(t);
  line.begin('scan', 'scanning');
  pass(1000);
  take();
  line.stop();
  line.stop();
  line.end('scan');
  pass(3000);
  assert.deepEqual(take(), [ERASE]);
});
