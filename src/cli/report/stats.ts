/** What a host says of itself, for scripts: one line, or one document. Both have the same keys. */
import type { StatsReading } from '../../client/stats.js';
import { keyValues, tabLine } from './text.js';

/** The document of `rmtx stats --json`; null is what the host's system does not tell. */
export function statsJson(reading: StatsReading): object {
  return {
    ...machineScalars(reading),
    gpus:
      reading.gpus?.map((gpu) => ({
        name: gpu.name,
        used_percent: gpu.usedPercent ?? null,
        memory_used_bytes: gpu.memoryUsedBytes ?? null,
        memory_total_bytes: gpu.memoryTotalBytes ?? null,
        temperature_celsius: gpu.celsius ?? null,
      })) ?? null,
    ...clientScalars(reading),
    runs: reading.runs.map((run) => ({
      id: run.id,
      state: run.state,
      label: run.label,
      command_line: run.commandLine,
      context: run.context,
      started_at: run.startedAt,
    })),
  };
}

/** `key=value`, apart by TABs; lists have commas, and `-` is what the host's system does not tell. */
export function statsLine(reading: StatsReading): string {
  const { gpus } = reading;
  const pairs = {
    ...machineScalars(reading),
    gpus: gpus?.length,
    gpu_used_percent: gpus?.map(({ usedPercent }) => usedPercent),
    gpu_memory_used_bytes: gpus?.map(({ memoryUsedBytes }) => memoryUsedBytes),
    gpu_memory_total_bytes: gpus?.map(({ memoryTotalBytes }) => memoryTotalBytes),
    ...clientScalars(reading),
  };
  return tabLine(...Object.entries(pairs).map(([key, value]) => keyValues({ [key]: cell(value) })));
}

type Scalar = string | number | null | undefined;

function cell(value: Scalar | readonly Scalar[]): string | number {
  if (typeof value !== 'object' || value === null) return value ?? '-';
  return value.length === 0 ? '-' : value.map((each) => each ?? '-').join(',');
}

type Scalars = Readonly<Record<string, Scalar | readonly number[]>>;

function machineScalars(reading: StatsReading): Scalars {
  const { memory, disk, load } = reading;
  return {
    name: reading.name,
    address: reading.address,
    rtt_ms: Math.round(reading.rttMs * 10) / 10,
    os: reading.os,
    arch: reading.arch,
    uptime_seconds: reading.uptimeSeconds,
    cpu_model: reading.cpuModel ?? null,
    logical_cpus: reading.logicalCpus,
    physical_cores: reading.physicalCores ?? null,
    cpu_used_percent: reading.cpuUsedPercent ?? null,
    cpu_used_cores: reading.cpuUsedCores ?? null,
    cpu_per_core_used_percent: reading.cpuUsedPercents ?? null,
    memory_total_bytes: memory.totalBytes,
    memory_used_bytes: memory.usedBytes,
    memory_available_bytes: memory.availableBytes,
    memory_used_percent: memory.usedPercent,
    disk_total_bytes: disk?.totalBytes ?? null,
    disk_available_bytes: disk?.availableBytes ?? null,
    disk_used_percent: disk?.usedPercent ?? null,
    load_1m: load?.[0] ?? null,
    load_5m: load?.[1] ?? null,
    load_15m: load?.[2] ?? null,
  };
}

function clientScalars(reading: StatsReading): Scalars {
  return {
    active_runs: reading.activeRuns,
    active_contexts: reading.activeContexts,
    contexts: reading.contexts,
    version: reading.version,
    fingerprint: reading.fingerprint,
    at: reading.at,
  };
}
