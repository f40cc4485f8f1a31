import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  parseProcStat,
  readCpuTicks,
  usedPercents,
} from '../../../../src/host/machine/cpu-ticks.js';

test('/proc/stat: waiting for a disk is idle, stolen time is busy, guests are not counted twice', () => {
  const text = `cpu  20 0 20 120 40 0 0 0 10 0
cpu0 10 1 5 60 20 2 3 4 10 1
cpu12 0 0 0 0 0 0 0 0 0 0
intr 1 2 3
ctxt 9
`;
  assert.deepEqual(parseProcStat(text), [
    { cpu: 0, busy: 25, total: 105 },
    { cpu: 12, busy: 0, total: 0 },
  ]);
});

test('the difference of two looks is what was used between them', () => {
  const at = (cpu: number, busy: number, total: number) => ({ cpu, busy, total });
  const before = [at(0, 100, 1000), at(1, 0, 500), at(3, 50, 50)];
  const after = [at(0, 125, 1100), at(1, 33, 533), at(2, 9, 10), at(3, 50, 50)];
  // The third has come in between, the clock of the fourth has not moved.
  assert.deepEqual(usedPercents(before, after), [25, 100, 0, 0]);
});

test('counters that go back are never below nothing or above everything', () => {
  const ticks = fc.array(fc.record({ cpu: fc.nat(8), busy: fc.integer(), total: fc.integer() }), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(ticks, ticks, (before, after) => {
      const percents = usedPercents(before, after);
      assert.equal(percents.length, after.length);
      for (const percent of percents) assert.ok(percent >= 0 && percent <= 100);
    }),
  );
});

test('this machine has processors, and they have done something', async () => {
  const ticks = await readCpuTicks();
  assert.ok(ticks.length > 0);
  for (const { busy, total } of ticks) assert.ok(busy > 0 && busy < total);
});
