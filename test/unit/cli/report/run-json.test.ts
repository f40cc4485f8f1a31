import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunEvent, RunReport } from '../../../../src/client/run-events.js';
import {
  failedRunJson,
  hostlessReportJson,
  runEventJson,
  runReportJson,
} from '../../../../src/cli/report/run-json.js';
import { RmtxError } from '../../../../src/errors.js';
import type { RunFacts } from '../../../../src/cli/report/run-json.js';
import { pathFromBytes } from '../../../../src/util/path-bytes.js';

const odd = pathFromBytes(Buffer.from([0xff]));

test('every event has its stable shape', () => {
  const cases: [RunEvent, object | undefined][] = [
    [
      { type: 'step', step: 'scan', state: 'end', elapsedMs: 12.3456, detail: 'x' },
      { type: 'step', step: 'scan', state: 'end', elapsed_ms: 12.3, detail: 'x' },
    ],
    [{ type: 'progress', step: 'scan', done: 1, unit: 'files' }, undefined],
    [
      {
        type: 'run',
        runId: 'r',
        host: 'h',
        address: 'a:1',
        workspace: '/w',
        isCold: true,
        slot: 2,
      },
      {
        type: 'run',
        run_id: 'r',
        host: 'h',
        address: 'a:1',
        workspace: '/w',
        is_cold: true,
        slot: 2,
      },
    ],
    [
      {
        type: 'attached',
        runId: 'r',
        host: 'h',
        address: 'a:1',
        state: 'waiting',
        command: ['make', '-j'],
      },
      {
        type: 'attached',
        run_id: 'r',
        host: 'h',
        address: 'a:1',
        state: 'waiting',
        command: ['make', '-j'],
      },
    ],
    [
      {
        type: 'local',
        cwd: '/p',
        reason: new RmtxError('ERR_RMTX_TIMED_OUT', 'm', { hint: 'h' }),
      },
      {
        type: 'local',
        runner: 'local',
        cwd: '/p',
        reason: { code: 'ERR_RMTX_TIMED_OUT', message: 'm', hint: 'h' },
      },
    ],
    [
      { type: 'output', stream: 'stderr', offset: 7, bytes: Buffer.from([0, 255]) },
      { type: 'output', stream: 'stderr', offset: 7, data_b64: 'AP8=' },
    ],
    [
      { type: 'exit', outcome: { kind: 'signalled', signal: 'SIGKILL', number: 9 } },
      { type: 'exit', outcome: { kind: 'signalled', signal: 'SIGKILL', number: 9 } },
    ],
    [
      { type: 'exit', outcome: { kind: 'interrupted', signal: undefined } },
      { type: 'exit', outcome: { kind: 'interrupted', signal: null } },
    ],
    [
      { type: 'exit', outcome: { kind: 'not-found', searched: '/bin', isShellLine: true } },
      { type: 'exit', outcome: { kind: 'not-found', searched: '/bin' } },
    ],
    [
      { type: 'notice', code: 'c', message: 'm', level: 'info' },
      { type: 'notice', level: 'info', code: 'c', message: 'm' },
    ],
    [
      { type: 'conflict', path: odd, keptTheirsAs: 'x', description: 'd' },
      { type: 'conflict', path_b64: '/w==', kept_theirs_as: { path: 'x' }, description: 'd' },
    ],
    [
      { type: 'problem', path: 'p', code: 'c', message: 'm' },
      { type: 'problem', path: 'p', code: 'c', message: 'm' },
    ],
  ];
  for (const [event, expected] of cases) assert.deepEqual(runEventJson(event), expected);
});

const facts: RunFacts = {
  command: ['make', '-j'],
  label: 'nightly',
  startedAt: new Date('2026-01-01T00:00:00Z'),
  endedAt: new Date('2026-01-01T00:00:02Z'),
  run: {
    type: 'run',
    runId: 'r',
    host: 'h',
    address: 'a:1',
    workspace: '/w',
    isCold: true,
    slot: 0,
  },
};

test('the report of a run holds all that happened', () => {
  const report: RunReport = {
    runId: 'r',
    outcome: { kind: 'signalled', signal: 'SIGTERM', number: 15 },
    exitCode: 143,
    hasUnapplied: false,
    durationMs: 2000,
    uploadedBytes: 10,
    downloadedBytes: 20,
    changed: ['a', odd],
    deleted: ['b'],
    conflicts: [{ path: 'c', keptTheirsAs: 'c.rmtx-conflict-r' }, { path: 'd' }],
    problems: [{ path: 'e', code: 'unreadable', message: 'no' }],
    ignoredLeftovers: { count: 3, bytes: 4, largestFolder: 'target' },
  };
  assert.deepEqual(runReportJson(report, facts), {
    command: ['make', '-j'],
    label: 'nightly',
    host: 'h',
    address: 'a:1',
    started_at: '2026-01-01T00:00:00.000Z',
    ended_at: '2026-01-01T00:00:02.000Z',
    runner: 'host',
    run_id: 'r',
    outcome: { kind: 'signalled', signal: 'SIGTERM', number: 15 },
    exit_code: 143,
    signal: 'SIGTERM',
    duration_ms: 2000,
    uploaded_bytes: 10,
    downloaded_bytes: 20,
    changed: [{ path: 'a' }, { path_b64: '/w==' }],
    deleted: [{ path: 'b' }],
    conflicts: [
      { path: 'c', kept_theirs_as: { path: 'c.rmtx-conflict-r' } },
      { path: 'd', kept_theirs_as: null },
    ],
    problems: [{ path: 'e', code: 'unreadable', message: 'no' }],
    ignored_leftovers: { count: 3, bytes: 4, largest_folder: { path: 'target' } },
    error: null,
  });
});

test('a run that rmtx could not carry through has the error in the same place', () => {
  const error = { code: 'ERR_RMTX_NOT_PAIRED', message: 'not paired' };
  assert.deepEqual(
    failedRunJson({ error, exitCode: 125 }, { ...facts, run: undefined, label: undefined }),
    {
      command: ['make', '-j'],
      label: null,
      host: null,
      address: null,
      started_at: '2026-01-01T00:00:00.000Z',
      ended_at: '2026-01-01T00:00:02.000Z',
      runner: null,
      run_id: null,
      outcome: null,
      exit_code: 125,
      signal: null,
      duration_ms: 2000,
      error,
    },
  );
});

test('a command that ran here has the keys of a run, and nothing that only a host could know', () => {
  const report = {
    runner: 'local',
    outcome: { kind: 'exited', code: 3 },
    exitCode: 3,
    hasUnapplied: false,
    durationMs: 5,
  } as const;
  const run: RunReport = {
    runId: 'r',
    outcome: report.outcome,
    exitCode: 3,
    hasUnapplied: false,
    durationMs: 5,
    uploadedBytes: 0,
    downloadedBytes: 0,
    changed: [],
    deleted: [],
    conflicts: [],
    problems: [],
  };
  const local = hostlessReportJson(report, { ...facts, run: undefined });
  assert.deepEqual(Object.keys(local), Object.keys(runReportJson(run, facts)));
  assert.deepEqual(local, {
    ...runReportJson(run, facts),
    host: null,
    address: null,
    runner: 'local',
    run_id: null,
    changed: null,
    deleted: null,
  });
});
