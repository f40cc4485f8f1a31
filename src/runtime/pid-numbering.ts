/**
 * What the numbers of processes prove. Linux gives them out in ascending order, skips those in use,
 * and starts again near 300 at `pid_max`; `processes` in /proc/stat counts every one made.
 */
import type { Leader, NumberingMark } from './process-table.js';

/** Where numbering starts again (RESERVED_PIDS in kernel/pid.c). */
const FIRST_AFTER_WRAP = 300;
/**
 * Numbers can be used up without being counted: a fork that fails late (a limit on processes), a
 * number skipped because it is in use. Past this many the count proves nothing.
 */
const UNCOUNTED_SLACK = 1024;

/** True when nothing at all was made since the leader: it has no descendants, without looking. */
export function provesNoDescendants(leader: Leader, now: NumberingMark | undefined): boolean {
  return leader.startMark !== undefined && now?.forks === leader.startMark.forks + 1;
}

/** True when numbers did not start again since the leader: every descendant has a greater one. */
export function provesAscending(
  leader: Leader,
  now: NumberingMark | undefined,
  pidMax: number,
): boolean {
  if (leader.startMark === undefined || now === undefined) return false;
  const forks = now.forks - leader.startMark.forks;
  const advanced = now.lastPid - leader.pid;
  return (
    leader.pid + forks + UNCOUNTED_SLACK < pidMax &&
    advanced >= 0 &&
    advanced <= forks + UNCOUNTED_SLACK
  );
}

/**
 * True when the leader's number, and so its group and session number, cannot mean anything else by
 * now. While the leader is not reaped, or a process of its group or session lives, the system keeps
 * the number; after that it is given away when the numbering comes by again.
 */
export function provesNumberIsOurs(
  leader: Leader,
  now: NumberingMark | undefined,
  pidMax: number,
): boolean {
  if (leader.end === undefined || provesAscending(leader, now, pidMax)) return true;
  const atEnd = leader.end.mark;
  if (atEnd === undefined || now === undefined) return false;
  const cycle = pidMax - FIRST_AFTER_WRAP;
  const distance = (leader.pid - atEnd.lastPid + cycle) % cycle;
  const used = now.forks - atEnd.forks + UNCOUNTED_SLACK;
  return used < (distance === 0 ? cycle : distance);
}
