import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statsJson, statsLine } from '../../../../src/cli/report/stats.js';
import { statsReading } from './stats-reading.js';

test('the line has a value for each key, apart by TABs', () => {
  const line = statsLine(statsReading(4));
  assert.equal(
    line.replaceAll('\t', '\n'),
    `\
name=workstation
address=192.168.1.42:33221
rtt_ms=0.4
os=linux
arch=x64
uptime_seconds=273600
cpu_model="AMD Ryzen 9 7950X"
logical_cpus=4
physical_cores=2
cpu_used_percent=61.2
cpu_used_cores=2.45
cpu_per_core_used_percent=0,25,50,75
memory_total_bytes=64000000000
memory_used_bytes=22000000000
memory_available_bytes=42000000000
memory_used_percent=34.4
disk_total_bytes=2000000000000
disk_available_bytes=150000000000
disk_used_percent=92.5
load_1m=12.31
load_5m=9.8
load_15m=4.02
gpus=1
gpu_used_percent=78
gpu_memory_used_bytes=11000000000
gpu_memory_total_bytes=24000000000
active_runs=3
active_contexts=1
contexts=2
version=0.1.0
fingerprint=sha256:00
at=2026-01-01T00:02:05.000Z
`,
  );
});

test('what the system does not tell is a dash in the line, null in the document', () => {
  const gpu = {
    usedPercent: undefined,
    memoryUsedBytes: 1,
    memoryTotalBytes: undefined,
    celsius: undefined,
  };
  const reading = statsReading(0, {
    cpuModel: undefined,
    cpuUsedPercent: undefined,
    cpuUsedPercents: undefined,
    disk: undefined,
    load: undefined,
    gpus: [
      { name: 'a', ...gpu },
      { name: 'b', ...gpu },
    ],
  });
  const cells = statsLine(reading).trimEnd().split('\t');
  for (const cell of [
    'cpu_model=-',
    'cpu_used_percent=-',
    'cpu_per_core_used_percent=-',
    'disk_total_bytes=-',
    'load_15m=-',
    'gpus=2',
    'gpu_used_percent=-,-',
    'gpu_memory_used_bytes=1,1',
  ])
    assert.ok(cells.includes(cell), cell);
  const document = statsJson(reading) as Record<string, unknown>;
  for (const key of ['cpu_model', 'cpu_per_core_used_percent', 'disk_total_bytes', 'load_1m'])
    assert.equal(document[key], null);
});

test('a name from elsewhere is one cell, whatever is in it', () => {
  const line = statsLine(statsReading(1, { name: 'a\tb\nc\u001b[2J "d"', cpuModel: '' }));
  assert.ok(line.startsWith('name="a\\\\x09b\\\\x0ac\\\\x1b[2J \\"d\\""\taddress='), line);
  assert.equal(line.indexOf('\n'), line.length - 1);
});
