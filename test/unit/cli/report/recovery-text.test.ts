import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recoveryLines } from '../../../../src/cli/report/recovery-text.js';
import type { RecoveredRun } from '../../../../src/cli/report/recovery-text.js';

function linesOf(run: Partial<RecoveredRun>): string[] {
  return recoveryLines({
    runId: 'r1',
    projectRoot: '/p',
    kind: 'completed',
    changed: 0,
    conflicts: [],
    problems: [],
    ...run,
  });
}

test('recovery says what became of the interrupted sync-back', () => {
  const what = 'the interrupted sync-back of run r1 in /p';
  assert.deepEqual(linesOf({ kind: 'completed', changed: 3 }), [
    `rmtx: finished ${what}: 3 paths changed`,
  ]);
  assert.deepEqual(linesOf({ kind: 'discarded' }), [`rmtx: dropped ${what}: nothing was changed`]);
  assert.deepEqual(linesOf({ kind: 'rolled-back' }), [
    `rmtx: took back ${what}: the project is as it was before`,
  ]);
  assert.deepEqual(linesOf({ kind: 'waiting', message: '/p is not there' }), [
    `rmtx: warning: ${what} has to wait: /p is not there`,
  ]);
  assert.deepEqual(linesOf({ kind: 'quarantined', projectRoot: '', message: 'bad checksum' }), [
    'rmtx: warning: the interrupted sync-back of run r1 is damaged and was put aside: bad checksum',
  ]);
});

test('conflicts and problems that recovery met are named', () => {
  const conflicts = [{ path: 'a\n', description: 'changed here and by the run: yours stays' }];
  const problems = [{ path: 'b', message: 'cannot be written' }];
  assert.deepEqual(linesOf({ conflicts, problems }).slice(1), [
    'rmtx: conflict: a\\x0a: changed here and by the run: yours stays',
    'rmtx: warning: b: cannot be written',
  ]);
});
