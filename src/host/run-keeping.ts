/** How long runs are kept that are over: for somebody to come back to, but not for ever. */
import type { RunRecord } from './run-record.js';

const DAY_MS = 24 * 3600 * 1000;
/** A result that nobody fetched, and the output of one that is settled. */
export const KEEP_RUN_MS = 7 * DAY_MS;
/** Of one client; runs whose changes still wait do not count. */
const MAX_SETTLED_RUNS = 50;
const MAX_SETTLED_BYTES = 1024 ** 3;

/**
 * The runs of one client that are not kept any longer. Those that wait for it go by their age alone; of
 * the others the newest stay, as many as are allowed and as much output.
 */
export function expiredRuns(records: readonly RunRecord[], nowMs: number): RunRecord[] {
  const expired: RunRecord[] = [];
  let count = 0;
  let bytes = 0;
  for (const record of newestFirst(records)) {
    if (!['waiting', 'done', 'lost'].includes(record.state)) continue;
    const isOld = nowMs - endOf(record) > KEEP_RUN_MS;
    if (record.state !== 'waiting' && !isOld) {
      count += 1;
      bytes += record.keptBytes;
    }
    const isTooMuch = count > MAX_SETTLED_RUNS || bytes > MAX_SETTLED_BYTES;
    if (isOld || (record.state !== 'waiting' && isTooMuch)) expired.push(record);
  }
  return expired;
}

export function newestFirst(records: readonly RunRecord[]): RunRecord[] {
  return [...records].sort((a, b) => endOf(b) - endOf(a));
}

/** Of one that is not over: its start. */
function endOf(record: RunRecord): number {
  return Date.parse(record.endedAt ?? record.startedAt);
}
