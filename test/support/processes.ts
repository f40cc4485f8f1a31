/** Finding the processes of a test by something that only they have in their command line. */
import { setTimeout } from 'node:timers/promises';
import { readFileSync, readdirSync } from 'node:fs';

let marks = 0;

/** Seconds for `sleep`, over a day, that no other process of this machine sleeps. */
export function uniqueSeconds(): string {
  marks += 1;
  return `99999.${process.pid}${String(marks).padStart(3, '0')}`;
}

/** The ids of living processes with this argument. */
export function processesWith(argument: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => argumentsOf(pid).includes(argument))
    .map(Number);
}

/** Resolves when so many are there: a shell says something before what it started is itself. */
export async function processesStart(argument: string, count: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (processesWith(argument).length < count) {
    if (performance.now() > deadline) throw new Error(`no ${count} processes with ${argument}`);
    await setTimeout(10);
  }
}

/** Empty for one that is gone or dead. */
function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** The letter of /proc/PID/stat: R and S for one that goes on, T for one that is stopped. */
export function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).slice(0, 1);
}

/** Resolves when the process is in one of these states. */
export async function processIs(pid: number, states: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!states.includes(stateOf(pid))) {
    if (performance.now() > deadline) throw new Error(`process ${pid} is ${stateOf(pid)}`);
    await setTimeout(10);
  }
}
