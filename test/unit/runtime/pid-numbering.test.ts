import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  provesAscending,
  provesNoDescendants,
  provesNumberIsOurs,
} from '../../../src/runtime/pid-numbering.js';
import type { Leader, NumberingMark } from '../../../src/runtime/process-table.js';

const PID_MAX = 32_768;

function leader(pid: number, end?: NumberingMark): Leader {
  return {
    pid,
    startedAt: '1',
    startMark: { forks: 1000, lastPid: pid - 1 },
    end: end === undefined ? undefined : { mark: end },
  };
}

test('one fork since the start was the leader itself', () => {
  assert.equal(provesNoDescendants(leader(5000), { forks: 1001, lastPid: 5000 }), true);
  assert.equal(provesNoDescendants(leader(5000), { forks: 1002, lastPid: 5001 }), false);
  assert.equal(provesNoDescendants(leader(5000), undefined), false);
});

for (const [what, pid, now, proven] of [
  ['few forks', 5000, { forks: 1100, lastPid: 5099 }, true],
  ['forks counted in other name spaces too', 5000, { forks: 9000, lastPid: 5003 }, true],
  ['enough forks to wrap', 5000, { forks: 40_000, lastPid: 11_000 }, false],
  ['a leader near the end', 32_000, { forks: 1010, lastPid: 32_009 }, false],
  ['a last number below the leader', 5000, { forks: 1100, lastPid: 400 }, false],
  ['numbers used up without being counted', 5000, { forks: 1010, lastPid: 9000 }, false],
  ['no count', 5000, undefined, false],
] as const)
  test(`${what}: numbers ${proven ? 'ascend' : 'may have started again'}`, () => {
    assert.equal(provesAscending(leader(pid), now, PID_MAX), proven);
  });

test('a leader that is not reaped keeps its number', () => {
  assert.equal(provesNumberIsOurs(leader(5000), undefined, PID_MAX), true);
});

test('after a wrap a number is ours until the numbering comes by again', () => {
  const ended = leader(5000, { forks: 61_000, lastPid: 9000 });
  assert.equal(provesNumberIsOurs(ended, { forks: 61_100, lastPid: 9100 }, PID_MAX), true);
  assert.equal(provesNumberIsOurs(ended, { forks: 90_000, lastPid: 6000 }, PID_MAX), false);
  const justBehind = leader(5000, { forks: 61_000, lastPid: 4990 });
  assert.equal(provesNumberIsOurs(justBehind, { forks: 61_100, lastPid: 5090 }, PID_MAX), false);
  assert.equal(provesNumberIsOurs(leader(5000, undefined), undefined, PID_MAX), true);
});
