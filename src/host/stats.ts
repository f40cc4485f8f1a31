/** What a client is told when it asks how busy the host is. */
import { VERSION } from '../version.js';
import type { Contexts } from './contexts.js';
import { Machine, meanPercent } from './machine/machine.js';
import type { MachineReading } from './machine/machine.js';
import { rounded } from './machine/cpu-ticks.js';
import type { Gpu } from './machine/gpus.js';
import type { RunRecord } from './run-record.js';
import type { Runs } from './runs.js';

/** A picture has no room for more, and whoever wants all asks for the runs. */
const MAX_RUNS = 50;
const MAX_COMMAND_LENGTH = 300;

export interface HostStatsOptions {
  readonly name: string;
  readonly stateDirectory: string;
  readonly contexts: Contexts;
  readonly runs: Runs;
}

/** The answer to each client is kept as long as the reading in it: who asks often costs nothing. */
export class HostStats {
  readonly #options: HostStatsOptions;
  readonly #machine: Machine;
  readonly #answers = new Map<string, { readonly of: MachineReading; readonly answer: object }>();

  constructor(options: HostStatsOptions) {
    this.#options = options;
    this.#machine = new Machine(options.stateDirectory);
  }

  /** The machine's numbers, and of runs and contexts the client's own; of others only how many run. */
  async answerTo(clientId: string): Promise<object> {
    const machine = await this.#machine.reading();
    const kept = this.#answers.get(clientId);
    if (kept?.of === machine) return kept.answer;
    const answer = this.#answer(clientId, machine);
    this.#answers.set(clientId, { of: machine, answer });
    return answer;
  }

  #answer(clientId: string, machine: MachineReading): object {
    const { name, contexts, runs } = this.#options;
    const goingOn = runs.list().filter(isGoingOn);
    const own = goingOn.filter((run) => run.clientId === clientId);
    return {
      name,
      version: VERSION,
      at: new Date().toISOString(),
      ...machineFields(machine),
      active_runs: goingOn.length,
      active_contexts: new Set(own.map(({ contextId }) => contextId)).size,
      contexts: contexts.countOf(clientId),
      runs: own.slice(0, MAX_RUNS).map(describeRun),
    };
  }
}

/** The keys are part of what `rmtx stats` promises; null is what this machine does not tell. */
function machineFields(machine: MachineReading): object {
  const { cpuUsedPercents: percents, disk, load, gpus } = machine;
  const used = percents === undefined ? undefined : meanPercent(percents);
  const memoryUsed = machine.memoryTotalBytes - machine.memoryAvailableBytes;
  return {
    os: process.platform,
    arch: process.arch,
    uptime_seconds: machine.uptimeSeconds,
    cpu_model: machine.cpuModel ?? null,
    logical_cpus: machine.logicalCpus,
    physical_cores: machine.physicalCores ?? null,
    cpu_used_percent: used ?? null,
    cpu_used_cores: used === undefined ? null : hundredths((used / 100) * machine.logicalCpus),
    cpu_per_core_used_percent: percents ?? null,
    memory_total_bytes: machine.memoryTotalBytes,
    memory_used_bytes: memoryUsed,
    memory_available_bytes: machine.memoryAvailableBytes,
    memory_used_percent: percentOf(memoryUsed, machine.memoryTotalBytes),
    disk_total_bytes: disk?.totalBytes ?? null,
    disk_available_bytes: disk?.availableBytes ?? null,
    disk_used_percent:
      disk === undefined ? null : percentOf(disk.totalBytes - disk.availableBytes, disk.totalBytes),
    load_1m: hundredths(load?.[0]),
    load_5m: hundredths(load?.[1]),
    load_15m: hundredths(load?.[2]),
    gpus: gpus?.map(describeGpu) ?? null,
  };
}

function describeGpu(gpu: Gpu): object {
  return {
    name: gpu.name,
    used_percent: gpu.usedPercent ?? null,
    memory_used_bytes: gpu.memoryUsedBytes ?? null,
    memory_total_bytes: gpu.memoryTotalBytes ?? null,
    temperature_celsius: gpu.celsius ?? null,
  };
}

function describeRun(run: RunRecord): object {
  return {
    id: run.id,
    state: run.state,
    label: run.label,
    command_line: commandLine(run.command),
    context: run.contextName,
    started_at: run.startedAt,
  };
}

/** As far as anybody would read it: an argv may be megabytes. */
export function commandLine(command: readonly string[]): string {
  let line = '';
  for (const word of command) {
    line += line === '' ? word : ` ${word}`;
    if (line.length > MAX_COMMAND_LENGTH) return `${line.slice(0, MAX_COMMAND_LENGTH - 1)}…`;
  }
  return line;
}

function isGoingOn({ state }: RunRecord): boolean {
  return state === 'preparing' || state === 'running' || state === 'collecting';
}

function percentOf(part: number, whole: number): number {
  return whole > 0 ? rounded((part / whole) * 100) : 0;
}

function hundredths(amount: number | undefined): number | null {
  return amount === undefined ? null : Math.round(amount * 100) / 100;
}
