import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStats } from '../../../src/client/stats.js';
import { RmtxError } from '../../../src/errors.js';
import { messageFields } from '../../../src/protocol/bad-message.js';

const GOOD = {
  name: 'box',
  version: '0.1.0',
  at: '2026-01-01T00:00:00.000Z',
  os: 'linux',
  arch: 'x64',
  uptime_seconds: 60,
  cpu_model: null,
  logical_cpus: 2,
  physical_cores: null,
  cpu_used_percent: 12.5,
  cpu_used_cores: 0.25,
  cpu_per_core_used_percent: [25, 0],
  memory_total_bytes: 4096,
  memory_used_bytes: 1024,
  memory_available_bytes: 3072,
  memory_used_percent: 25,
  disk_total_bytes: null,
  disk_available_bytes: null,
  disk_used_percent: null,
  load_1m: 0.5,
  load_5m: 0,
  load_15m: 0,
  gpus: null,
  active_runs: 0,
  active_contexts: 0,
  contexts: 0,
  runs: [],
};

const parsed = (lies: object): ReturnType<typeof parseStats> =>
  parseStats(messageFields({ ...GOOD, ...lies }, 'answer'));

test('what a system does not tell is undefined', () => {
  const reading = parsed({});
  assert.deepEqual(
    [reading.cpuModel, reading.physicalCores, reading.disk, reading.gpus],
    [undefined, undefined, undefined, undefined],
  );
  assert.deepEqual(reading.load, [0.5, 0, 0]);
  assert.equal(parsed({ load_1m: null }).load, undefined);
  assert.equal(parsed({ cpu_per_core_used_percent: null }).cpuUsedPercents, undefined);
});

test('what no machine is like is refused, field by field', () => {
  const run = { id: 'r0000000000000001', state: 'running', label: '', context: '' };
  const lies: object[] = [
    { name: 7 },
    { name: 'x'.repeat(256) },
    { at: 'x'.repeat(65) },
    { uptime_seconds: -1 },
    { uptime_seconds: 1.5 },
    { logical_cpus: 1e300 },
    { cpu_used_percent: 100.1 },
    { cpu_used_percent: -0.1 },
    { cpu_used_percent: '12' },
    { cpu_used_percent: NaN },
    { cpu_used_percent: Infinity },
    { cpu_per_core_used_percent: [1, null] },
    { cpu_per_core_used_percent: [1, NaN] },
    { cpu_per_core_used_percent: new Array(5000).fill(1) },
    { cpu_per_core_used_percent: { length: 1 } },
    { memory_total_bytes: null },
    { memory_total_bytes: 2 ** 60 },
    { disk_total_bytes: 1 },
    { load_5m: 1e9 },
    { gpus: [{ name: 'x', used_percent: 101 }] },
    { gpus: [{ name: 'x'.repeat(300) }] },
    { gpus: new Array(65).fill({ name: 'x' }) },
    { runs: [{ ...run, command_line: 'x', started_at: 7 }] },
    { runs: [{ ...run, command_line: 'x'.repeat(5000), started_at: '' }] },
    { runs: [{ ...run, id: '../x', command_line: 'x', started_at: '' }] },
    { runs: [{ ...run, state: 'dreaming', command_line: 'x', started_at: '' }] },
    { runs: new Array(1001).fill(run) },
    { runs: 'none' },
  ];
  for (const lie of lies)
    assert.throws(
      () => parsed(lie),
      (error) => error instanceof RmtxError && error.code === 'ERR_RMTX_BAD_MESSAGE',
      JSON.stringify(lie).slice(0, 80),
    );
});
