/** How busy a host is: asked once, or again and again over a connection that is made anew where it breaks. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RmtxError } from '../errors.js';
import type { Fields } from '../util/fields.js';
import { RUN_ID_PATTERN, RUN_STATES } from '../protocol/messages.js';
import type { RunState } from '../protocol/messages.js';
import { backOffMs } from './back-off.js';
import { isConnectionLoss } from './connect.js';
import type { DialedHost } from './connect.js';
import { withHost } from './control.js';
import type { Call, HostTarget } from './control.js';

export interface GpuStats {
  readonly name: string;
  readonly usedPercent: number | undefined;
  readonly memoryUsedBytes: number | undefined;
  readonly memoryTotalBytes: number | undefined;
  readonly celsius: number | undefined;
}

export interface RunStats {
  readonly id: string;
  readonly state: RunState;
  readonly label: string;
  /** May be cut. */
  readonly commandLine: string;
  readonly context: string;
  /** ISO 8601, the host's clock. */
  readonly startedAt: string;
}

/** Undefined is what the host's system does not tell. */
export interface StatsReading {
  readonly name: string;
  readonly address: string;
  readonly fingerprint: string;
  readonly version: string;
  /** ISO 8601, the host's clock. */
  readonly at: string;
  readonly rttMs: number;
  readonly os: string;
  readonly arch: string;
  readonly uptimeSeconds: number;
  readonly cpuModel: string | undefined;
  readonly logicalCpus: number;
  readonly physicalCores: number | undefined;
  readonly cpuUsedPercent: number | undefined;
  readonly cpuUsedCores: number | undefined;
  readonly cpuUsedPercents: readonly number[] | undefined;
  readonly memory: {
    readonly totalBytes: number;
    readonly usedBytes: number;
    readonly availableBytes: number;
    readonly usedPercent: number;
  };
  /** Of the file system with the host's state directory. */
  readonly disk:
    | { readonly totalBytes: number; readonly availableBytes: number; readonly usedPercent: number }
    | undefined;
  /** Of 1, 5 and 15 minutes. */
  readonly load: readonly [number, number, number] | undefined;
  readonly gpus: readonly GpuStats[] | undefined;
  /** Of all clients. */
  readonly activeRuns: number;
  readonly activeContexts: number;
  readonly contexts: number;
  /** Of this client, the newest first. */
  readonly runs: readonly RunStats[];
}

export function readStats(target: HostTarget): Promise<StatsReading> {
  return withHost(target, askStats);
}

/** A host on a good network answers within half a second; the picture must not pretend for long. */
const FOLLOW_ANSWER_LIMIT_MS = 5000;

export interface FollowOptions {
  readonly intervalMs: number;
  readonly abortSignal: AbortSignal;
  readonly onReading: (reading: StatsReading) => void;
  /** The connection broke, or could still not be made again. */
  readonly onLost: (error: RmtxError) => void;
}

/**
 * Until it is aborted. Rejects where the host cannot be reached at first, and with whatever trying again
 * does not mend.
 */
export async function followStats(target: HostTarget, options: FollowOptions): Promise<void> {
  const { abortSignal, intervalMs, onReading, onLost } = options;
  const limits = { abortSignal, answerLimitMs: FOLLOW_ANSWER_LIMIT_MS };
  const progress = { hasRead: false, failures: 0 };
  const readOn = async (call: Call, dialed: DialedHost): Promise<void> => {
    while (!isAborted(abortSignal)) {
      const startedAt = performance.now();
      const reading = await askStats(call, dialed);
      progress.hasRead = true;
      progress.failures = 0;
      onReading(reading);
      await pause(startedAt + intervalMs - performance.now(), abortSignal);
    }
  };
  while (!isAborted(abortSignal)) {
    try {
      await withHost(target, readOn, limits);
    } catch (error) {
      if (isAborted(abortSignal)) return;
      if (!progress.hasRead || !isConnectionLoss(error)) throw error;
      onLost(error);
      await pause(backOffMs(progress.failures), abortSignal);
      progress.failures += 1;
    }
  }
}

/** To the compiler a signal that was not aborted once never is. */
function isAborted(abortSignal: AbortSignal): boolean {
  return abortSignal.aborted;
}

async function pause(milliseconds: number, abortSignal: AbortSignal): Promise<void> {
  const waiting = delay(Math.max(0, milliseconds), undefined, { signal: abortSignal });
  await waiting.catch(() => undefined);
}

/** One reading over a connection that stands, and how long the way there and back takes. */
export async function askStats(call: Call, dialed: DialedHost): Promise<StatsReading> {
  const answer = await call('GET', '/v1/stats');
  const startedAt = performance.now();
  await call('GET', '/v1/ping');
  const rttMs = performance.now() - startedAt;
  const { address, peerFingerprint: fingerprint } = dialed;
  return { address, fingerprint, rttMs, ...parseStats(answer) };
}

const MAX_CPUS = 4096;
const MAX_GPUS = 64;
const MAX_RUNS = 1000;
const MAX_LOAD = 1e6;
const MAX_WORD = 64;
const MAX_NAME = 255;
const PERCENT = { min: 0, max: 100 } as const;

/** Throws BAD_MESSAGE for what no machine is like: the numbers size bars and columns. */
export function parseStats(
  fields: Fields,
): Omit<StatsReading, 'address' | 'fingerprint' | 'rttMs'> {
  const hasDisk = fields.has('disk_total_bytes');
  const hasLoad = fields.has('load_1m');
  const load = (minutes: number): number =>
    fields.number(`load_${minutes}m`, { min: 0, max: MAX_LOAD });
  return {
    name: fields.string('name', MAX_NAME),
    version: fields.string('version', MAX_WORD),
    at: fields.string('at', MAX_WORD),
    os: fields.string('os', MAX_WORD),
    arch: fields.string('arch', MAX_WORD),
    uptimeSeconds: fields.integer('uptime_seconds', 0),
    cpuModel: fields.optionalString('cpu_model', MAX_NAME),
    logicalCpus: fields.integer('logical_cpus', 0, MAX_CPUS),
    physicalCores: fields.optionalInteger('physical_cores', 0, MAX_CPUS),
    cpuUsedPercent: fields.optionalNumber('cpu_used_percent', PERCENT),
    cpuUsedCores: fields.optionalNumber('cpu_used_cores', { min: 0, max: MAX_CPUS }),
    cpuUsedPercents: fields.has('cpu_per_core_used_percent')
      ? fields.numbers('cpu_per_core_used_percent', MAX_CPUS, PERCENT)
      : undefined,
    memory: {
      totalBytes: fields.integer('memory_total_bytes', 0),
      usedBytes: fields.integer('memory_used_bytes', 0),
      availableBytes: fields.integer('memory_available_bytes', 0),
      usedPercent: fields.number('memory_used_percent', PERCENT),
    },
    disk: hasDisk
      ? {
          totalBytes: fields.integer('disk_total_bytes', 0),
          availableBytes: fields.integer('disk_available_bytes', 0),
          usedPercent: fields.number('disk_used_percent', PERCENT),
        }
      : undefined,
    load: hasLoad ? [load(1), load(5), load(15)] : undefined,
    gpus: fields.has('gpus') ? fields.objects('gpus', MAX_GPUS).map(parseGpu) : undefined,
    activeRuns: fields.integer('active_runs', 0),
    activeContexts: fields.integer('active_contexts', 0),
    contexts: fields.integer('contexts', 0),
    runs: fields.objects('runs', MAX_RUNS).map(parseRun),
  };
}

function parseGpu(fields: Fields): GpuStats {
  return {
    name: fields.string('name', MAX_NAME),
    usedPercent: fields.optionalNumber('used_percent', PERCENT),
    memoryUsedBytes: fields.optionalInteger('memory_used_bytes', 0),
    memoryTotalBytes: fields.optionalInteger('memory_total_bytes', 0),
    celsius: fields.optionalNumber('temperature_celsius', { min: -100, max: 1000 }),
  };
}

function parseRun(fields: Fields): RunStats {
  return {
    id: fields.matching('id', RUN_ID_PATTERN),
    state: fields.oneOf('state', RUN_STATES),
    label: fields.string('label'),
    commandLine: fields.string('command_line'),
    context: fields.string('context'),
    startedAt: fields.string('started_at', MAX_WORD),
  };
}
