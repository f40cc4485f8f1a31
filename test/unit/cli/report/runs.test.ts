import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunInfo } from '../../../../src/client/runs.js';
import { runInfoJson, runsTable } from '../../../../src/cli/report/runs.js';

const NOW = Date.parse('2026-01-02T03:04:05.000Z');

const going: RunInfo = {
  id: 'r0123456789abcdef',
  state: 'running',
  label: 'nightly',
  command: ['make', '-j'],
  context: 'here',
  startedAt: '2026-01-02T02:00:00.000Z',
  endedAt: undefined,
  exitCode: undefined,
  outcome: undefined,
};

test('the table shows what there is, and a dash where there is nothing yet', () => {
  const long = { ...going, command: ['x'.repeat(100)], exitCode: 0, label: '' };
  const early = { ...going, command: ['a\u001b[2J'], startedAt: '2026-01-02T03:05:00.000Z' };
  assert.equal(
    runsTable([going, long, early], { nowMs: NOW, columns: undefined }),
    [
      `ID                 STATE    AGE   EXIT  COMMAND${' '.repeat(55)}CONTEXT  LABEL`,
      `r0123456789abcdef  running  1h4m  -     make -j${' '.repeat(55)}here     nightly`,
      `r0123456789abcdef  running  1h4m  0     ${'x'.repeat(59)}…  here`,
      `r0123456789abcdef  running  0s    -     a\\x1b[2J${' '.repeat(54)}here     nightly`,
      '',
    ].join('\n'),
  );
});

test('on a terminal the commands are cut until the lines fit, but something of them is left', () => {
  const long = { ...going, command: ['x'.repeat(100)] };
  const widest = (columns: number): number =>
    Math.max(
      ...runsTable([going, long], { nowMs: NOW, columns })
        .split('\n')
        .map((line) => line.length),
    );
  assert.deepEqual([widest(200), widest(80), widest(70)], [118, 80, 70]);
  assert.equal(widest(40), 68);
});

test('the JSON has every key, null where there is nothing yet', () => {
  assert.deepEqual(runInfoJson(going), {
    id: 'r0123456789abcdef',
    state: 'running',
    label: 'nightly',
    command: ['make', '-j'],
    context: 'here',
    started_at: '2026-01-02T02:00:00.000Z',
    ended_at: null,
    exit_code: null,
    outcome: null,
  });
  const outcome = { kind: 'signalled', signal: 'SIGKILL' };
  const over = { ...going, endedAt: '2026-01-02T02:00:01.000Z', exitCode: 137, outcome };
  const json = runInfoJson(over) as Record<string, unknown>;
  assert.deepEqual([json['exit_code'], json['outcome']], [137, outcome]);
});
