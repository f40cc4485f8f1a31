import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asciiGlyphs, unicodeGlyphs } from '../../../../src/cli/report/bars.js';
import { columnsOf, cutTo, fitTo } from '../../../../src/cli/report/spans.js';
import { roundTrip, statsPicture } from '../../../../src/cli/report/stats-picture.js';
import type { PictureOptions, StatsView } from '../../../../src/cli/report/stats-picture.js';
import { statsReading, statsRun } from './stats-reading.js';

const HOSTILE = 'a\u001b[2J\u009b31m\r\n\u202eb\u0007界🎉e\u0301\u0000';

function picture(view: Partial<StatsView>, options: Partial<PictureOptions> = {}): string {
  const whole = { reading: statsReading(2), ageMs: 0, lost: undefined, ...view };
  const looks = { columns: 100, rows: 30, hasColours: false, glyphs: unicodeGlyphs, ...options };
  return statsPicture(whole, looks).join('\n');
}

test('a wide terminal', () => {
  assert.equal(
    picture({ reading: statsReading(8) }, { columns: 100, rows: 18 }),
    `\
workstation                                                                                ● up 3d4h
192.168.1.42:33221 · rtt 0.4ms · 8 CPUs (4 cores) · linux x64 · AMD Ryzen 9 7950X · rmtx 0.1.0

CPU     ━━━━━━━━━━━━━━━━━━━━━━━━━━━─────────────────  61%  load 12.31 9.80 4.02
      0 ──────────────────   0%   4 ━━━━━━━━━━━━━━━━━━ 100%
      1 ━━━━╸─────────────  25%   5 ━━━━╸─────────────  24%
      2 ━━━━━━━━━─────────  50%   6 ━━━━━━━━━─────────  49%
      3 ━━━━━━━━━━━━━╸────  75%   7 ━━━━━━━━━━━━━╸────  74%
Memory  ━━━━━━━━━━━━━━━─────────────────────────────  34%  42GB free of 64GB
Disk    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸───  93%  150GB free of 2TB
GPU     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸─────────  78%  11GB/24GB · 61 °C · NVIDIA H200

2 runs and 1 of other clients
   2m5s  engine  make -j all
    12s  shop    npm test -- --coverage --watch=false packages/frontend packages/backend


q leaves`,
  );
});

test('a narrow terminal', () => {
  assert.equal(
    picture({ reading: statsReading(2) }, { columns: 40, rows: 14 }),
    `\
workstation                    ● up 3d4h
192.168.1.42:33221 · rtt 0.4ms

CPU  ━━━━━━━━━━╸──────  61%  load 12.31
   0 ─────────────────   0%
   1 ━━━━╸────────────  25%
Mem  ━━━━━━───────────  34%  42GB free
Disk ━━━━━━━━━━━━━━━╸─  93%  150GB free
GPU  ━━━━━━━━━━━━━╸───  78%  11GB/24GB

2 runs and 1 of other clients
   2m5s  make -j all
    12s  npm test -- --coverage --watch…`,
  );
});

test('more processors than lines, and more runs', () => {
  const runs = Array.from({ length: 9 }, () => statsRun());
  assert.equal(
    picture(
      { reading: statsReading(64, { runs, activeRuns: 9, gpus: [] }) },
      { columns: 60, rows: 14 },
    ),
    `\
workstation                                        ● up 3d4h
192.168.1.42:33221 · rtt 0.4ms · 64 CPUs (32 cores)

CPU  ━━━━━━━━━━━━━━━━━━━━━━╸──────────────  61%  load 12.31
     ▁▃▅▆█▃▄▆█▃▄▆█▃▄▆█▂▄▆█▂▄▆█▂▄▆█▂▄▆█▂▄▆▇▂▄▆▇▂▄▆▇▂▄▅▇▂▄▅▇▂▄
     ▅▇▂▄▅▇▂▃▅
Mem  ━━━━━━━━━━━━╸────────────────────────  34%  42GB free
Disk ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━───  93%  150GB free

9 runs
   2m5s  make -j all
   2m5s  make -j all
   2m5s  make -j all
  and 6 more: rmtx runs`,
  );
});

test('a lost connection is said, ages go on, and a plain terminal has plain characters', () => {
  const runs = [statsRun(), statsRun({ state: 'preparing', commandLine: '' })];
  const gpus = undefined;
  assert.equal(
    picture(
      {
        reading: statsReading(2, { runs, gpus, activeRuns: 2 }),
        ageMs: 12_000,
        lost: 'the host did not answer',
      },
      { columns: 60, rows: 12, glyphs: asciiGlyphs },
    ),
    `\
workstation                        o connection lost 12s ago
trying again: the host did not answer

CPU  ######################=..............  61%  load 12.31
   0 .....................................   0%
   1 #########=...........................  25%
Mem  ############=........................  34%  42GB free
Disk ##################################...  93%  150GB free

2 runs
  2m17s  make -j all
  2m17s  preparing`,
  );
});

test('a host that tells little has a picture, too', () => {
  const reading = statsReading(0, {
    cpuModel: undefined,
    physicalCores: undefined,
    cpuUsedPercent: undefined,
    cpuUsedPercents: undefined,
    disk: undefined,
    load: undefined,
    gpus: undefined,
    runs: [],
    activeRuns: 2,
    at: 'yesterday',
  });
  const text = picture({ reading }, { rows: 8 });
  assert.match(text, /^CPU +─+ {4}-$/m);
  assert.match(text, /^No runs of this client, 2 of other clients$/m);
  assert.doesNotMatch(text, /undefined|NaN|null|Disk|GPU/);
});

test('colours only where they are wanted, and none is left on', () => {
  assert.ok(!picture({}).includes('\u001b'));
  const coloured = picture({}, { hasColours: true });
  for (const line of coloured.split('\n')) {
    const codes = [...line.matchAll(/\u001b\[(\d+)m/g)].map(([, code]) => code);
    assert.equal(codes.length % 2, 0, line);
    assert.ok(codes.every((code, index) => (index % 2 === 1) === (code === '0')));
  }
  assert.match(coloured, /\u001b\[31m━/, 'a disk that is nearly full is red');
});

test('whatever a host is called and runs, no line is too long and nothing moves the cursor', () => {
  const text = fc.oneof(fc.string({ maxLength: 80 }), fc.constant(HOSTILE));
  const percent = fc.double({ min: 0, max: 100, noNaN: true });
  const size = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const views = fc.record({
    name: text,
    model: text,
    command: text,
    time: text,
    lost: fc.option(text, { nil: undefined }),
    percents: fc.array(percent, { maxLength: 300 }),
    size,
    columns: fc.integer({ min: 1, max: 300 }),
    rows: fc.integer({ min: 1, max: 60 }),
  });
  fc.assert(
    fc.property(views, ({ name, model, command, time, lost, percents, size: bytes, ...place }) => {
      const disk = { totalBytes: bytes, availableBytes: bytes, usedPercent: percents[0] ?? 0 };
      const reading = statsReading(percents.length, {
        name,
        version: model,
        cpuModel: model,
        cpuUsedPercents: percents,
        cpuUsedPercent: percents[0],
        disk,
        memory: { ...disk, usedBytes: bytes },
        uptimeSeconds: bytes,
        load: [1e6, 1e6, 1e6],
        runs: [statsRun({ commandLine: command, context: name, startedAt: time })],
        activeRuns: bytes,
      });
      const options = { ...place, hasColours: false, glyphs: unicodeGlyphs };
      const lines = statsPicture({ reading, ageMs: 0, lost }, options);
      assert.ok(lines.length <= place.rows);
      for (const line of lines) {
        assert.ok(columnsOf(line) <= place.columns, line);
        assert.doesNotMatch(line, /[\0-\x1f\x7f-\x9f\u202e]/);
      }
    }),
  );
});

test('columns, not characters: wide ones take two, combining ones none', () => {
  assert.deepEqual(['abc', '界', '🎉', 'e\u0301', ''].map(columnsOf), [3, 2, 2, 1, 0]);
  assert.equal(cutTo('界界界', 4), '界…');
  assert.equal(cutTo('abc', 3), 'abc');
  assert.equal(cutTo('abc', 0), '');
  assert.equal(fitTo('界', 4), '界  ');
});

test('a round trip is told to the tenth where that matters', () => {
  assert.deepEqual([0.04, 0.43, 9.96, 12.4].map(roundTrip), ['0ms', '0.4ms', '10ms', '12ms']);
});
