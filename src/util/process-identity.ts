/**
 * Which process wrote something down, and whether it still runs. A pid alone is not enough: it is
 * given to another process later, and means nothing on another machine or in another container.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import { systemErrorCode } from '../errors.js';

export interface ProcessIdentity {
  readonly pid: number;
  /** Ticks from boot to the start of the process on Linux; '' where Node cannot tell. */
  readonly startedAt: string;
  readonly hostName: string;
  /** Changes at each boot; '' where Node cannot tell. */
  readonly bootId: string;
  /** The name space that the pid counts in (containers have their own); '' elsewhere than on Linux. */
  readonly pidSpace: string;
}

/** 'unknown': it may run where this process cannot see it, in a container or on another machine. */
export type Liveness = 'alive' | 'dead' | 'unknown';

export function currentProcess(): ProcessIdentity {
  return {
    pid: process.pid,
    startedAt: startOf(process.pid) ?? '',
    hostName: os.hostname(),
    bootId: bootId(),
    pidSpace: pidSpace(),
  };
}

/**
 * Whether that process runs now. Errs on the side of 'alive': elsewhere than on Linux a process that
 * got the same pid later is taken for it.
 */
export function livenessOf(identity: ProcessIdentity): Liveness {
  const here = currentProcess();
  if (identity.bootId !== here.bootId)
    return identity.hostName === here.hostName ? 'dead' : 'unknown';
  if (identity.bootId === '' && identity.hostName !== here.hostName) return 'unknown';
  if (identity.pidSpace !== here.pidSpace) return 'unknown';
  if (!hasProcess(identity.pid)) return 'dead';
  const startedAt = startOf(identity.pid);
  return startedAt === undefined || startedAt === identity.startedAt ? 'alive' : 'dead';
}

/** Parses what was written as JSON; undefined for anything else. */
export function parseProcessIdentity(text: string): ProcessIdentity | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  const { pid, startedAt, hostName, bootId: boot, pidSpace: space } = fields;
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
  if (typeof startedAt !== 'string' || typeof hostName !== 'string') return undefined;
  if (typeof boot !== 'string' || typeof space !== 'string') return undefined;
  return { pid, startedAt, hostName, bootId: boot, pidSpace: space };
}

function hasProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    return systemErrorCode(error) === 'EPERM';
  }
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)); the name in field 2 may hold spaces and brackets. */
function startOf(pid: number): string | undefined {
  const stat = readSmall(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function bootId(): string {
  return readSmall('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

function pidSpace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    // No /proc, or one that hides it: then there is nothing to tell apart.
    return '';
  }
}

function readSmall(file: string): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    return readFileSync(file, 'latin1');
  } catch {
    // The process ended meanwhile, or /proc is not mounted.
    return undefined;
  }
}
