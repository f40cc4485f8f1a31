import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expiredRuns } from '../../../src/host/run-keeping.js';
import type { RunRecord } from '../../../src/host/run-record.js';
import { recordOf } from '../../support/run-records.js';

const NOW = Date.parse('2030-01-20T00:00:00Z');
const HOUR = 3600 * 1000;

function ended(hoursAgo: number, change: Partial<RunRecord> = {}): RunRecord {
  const endedAt = new Date(NOW - hoursAgo * HOUR).toISOString();
  return recordOf({ state: 'done', endedAt, startedAt: '2030-01-01T00:00:00Z', ...change });
}

function expired(records: readonly RunRecord[]): Set<RunRecord> {
  return new Set(expiredRuns(records, NOW));
}

describe('expiredRuns', () => {
  test('after seven days whatever is over goes, and nothing that goes on', () => {
    const states = ['waiting', 'done', 'lost'] as const;
    for (const state of states) {
      const [old, young] = [ended(7 * 24 + 1, { state }), ended(7 * 24 - 1, { state })];
      assert.deepEqual(expired([young, old]), new Set([old]));
    }
    for (const state of ['preparing', 'running', 'collecting'] as const)
      assert.equal(expired([ended(1000, { state, endedAt: undefined })]).size, 0);
  });

  test('of those that are settled the newest fifty stay; those that wait do not count', () => {
    const settled = Array.from({ length: 60 }, (_, index) => ended(index / 10));
    const waiting = Array.from({ length: 60 }, (_, index) =>
      ended(100 + index / 10, { state: 'waiting' }),
    );
    const mixed = [...waiting, ...settled].sort(() => Math.random() - 0.5);
    assert.deepEqual(expired(mixed), new Set(settled.slice(50)));
  });

  test('and a gibibyte of their output', () => {
    const keptBytes = 300 * 1024 * 1024;
    const settled = Array.from({ length: 5 }, (_, index) => ended(index, { keptBytes }));
    const waiting = ended(20, { state: 'waiting', keptBytes: keptBytes * 20 });
    assert.deepEqual(expired([waiting, ...settled]), new Set(settled.slice(3)));
  });
});
