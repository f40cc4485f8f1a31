import assert from 'node:assert/strict';
import os from 'node:os';
import { test } from 'node:test';
import { Machine, meanPercent } from '../../../../src/host/machine/machine.js';

test('a flood of questions is one reading, and that reading is of this machine', async () => {
  const machine = new Machine(os.tmpdir());
  const readings = await Promise.all(Array.from({ length: 1000 }, () => machine.reading()));
  const [reading] = readings;
  assert.ok(reading !== undefined);
  assert.equal(new Set(readings).size, 1);
  assert.equal(await machine.reading(), reading, 'it is kept for a while');
  assert.equal(reading.cpuUsedPercents?.length, reading.logicalCpus);
  assert.ok(reading.memoryAvailableBytes > 0);
  assert.ok(reading.memoryAvailableBytes <= reading.memoryTotalBytes);
  assert.ok(reading.disk !== undefined && reading.disk.availableBytes <= reading.disk.totalBytes);
  assert.ok(reading.uptimeSeconds > 0);
});

test('a place that is not there is no disk, and no failure', async () => {
  const reading = await new Machine('/nowhere/at/all').reading();
  assert.equal(reading.disk, undefined);
});

test('the mean of processors', () => {
  assert.equal(meanPercent([0, 100, 50.5]), 50.2);
  assert.equal(meanPercent([]), 0);
});
