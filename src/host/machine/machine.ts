/**
 * What the host can say of the machine that it runs on. Everything is read only when somebody asks, and
 * shared among those who do: a flood of questions costs one reading each half second.
 */
import { statfs } from 'node:fs/promises';
import os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { availableMemoryBytes } from '../../runtime/base-environment.js';
import { readCpuTicks, rounded, usedPercents } from './cpu-ticks.js';
import type { CpuTicks } from './cpu-ticks.js';
import { readGpus } from './gpus.js';
import type { Gpu } from './gpus.js';
import { SlowReading } from './slow-reading.js';

export interface MachineReading {
  readonly cpuModel: string | undefined;
  readonly logicalCpus: number;
  readonly physicalCores: number | undefined;
  /** Percent; undefined where the system does not tell. */
  readonly cpuUsedPercents: readonly number[] | undefined;
  readonly memoryTotalBytes: number;
  readonly memoryAvailableBytes: number;
  /** Of the file system with the state directory. */
  readonly disk: { readonly totalBytes: number; readonly availableBytes: number } | undefined;
  /** Of 1, 5 and 15 minutes; undefined on Windows, which has no such number. */
  readonly load: readonly number[] | undefined;
  /** Undefined until it is known. */
  readonly gpus: readonly Gpu[] | undefined;
  readonly uptimeSeconds: number;
}

/** How long a reading is handed out again. */
const READING_KEPT_MS = 500;
/** Long enough for 25 of the kernel's ticks. */
const CPU_SAMPLE_MS = 250;
/** A difference over longer than this tells of the past. */
const MAX_CPU_SAMPLE_MS = 10_000;
/** No answer is later than this for the sake of a number that is hard to get. */
const MAX_WAIT_MS = 400;

export class Machine {
  readonly #topology = new SlowReading({
    read: readTopology,
    keepMs: 3600_000,
    waitMs: MAX_WAIT_MS,
  });
  readonly #gpus = new SlowReading({ read: readGpus, keepMs: 1500, waitMs: MAX_WAIT_MS });
  readonly #macMemory = new SlowReading({ read: readMacMemory, keepMs: 1000, waitMs: MAX_WAIT_MS });
  readonly #disk: SlowReading<MachineReading['disk']>;
  #ticks: { readonly at: number; readonly cpus: readonly CpuTicks[] } | undefined;
  #reading: { readonly until: number; readonly promise: Promise<MachineReading> } | undefined;

  /** `directory` is on the file system that is told of. */
  constructor(directory: string) {
    // A network's file system whose server is gone answers never.
    const read = (): Promise<MachineReading['disk']> => readDisk(directory);
    this.#disk = new SlowReading({ read, keepMs: READING_KEPT_MS, waitMs: MAX_WAIT_MS });
  }

  /** Takes at most about {@link MAX_WAIT_MS}; not older than {@link READING_KEPT_MS}. Never rejects. */
  reading(): Promise<MachineReading> {
    const now = performance.now();
    if (this.#reading !== undefined && now < this.#reading.until) return this.#reading.promise;
    const promise = this.#read();
    this.#reading = { until: Infinity, promise };
    void promise.then(() => {
      this.#reading = { until: performance.now() + READING_KEPT_MS, promise };
    });
    return promise;
  }

  async #read(): Promise<MachineReading> {
    const isMac = process.platform === 'darwin';
    const [cpuUsedPercents, topology, gpus, disk, macMemory] = await Promise.all([
      this.#cpuUse().catch(() => undefined),
      this.#topology.latest(),
      this.#gpus.latest(),
      this.#disk.latest(),
      isMac ? this.#macMemory.latest() : undefined,
    ]);
    const memoryTotalBytes = totalMemoryBytes();
    return {
      cpuModel: topology?.model,
      logicalCpus: cpuUsedPercents?.length ?? os.availableParallelism(),
      physicalCores: topology?.physicalCores,
      cpuUsedPercents,
      memoryTotalBytes,
      memoryAvailableBytes: Math.min(memoryTotalBytes, macMemory ?? availableMemoryBytes()),
      disk,
      load: process.platform === 'win32' ? undefined : os.loadavg(),
      gpus,
      uptimeSeconds: Math.floor(os.uptime()),
    };
  }

  /** Since somebody asked last, where that is not long ago; else of the next quarter second. */
  async #cpuUse(): Promise<number[] | undefined> {
    let before = this.#ticks;
    const sinceMs = performance.now() - (before?.at ?? -Infinity);
    if (before === undefined || sinceMs < CPU_SAMPLE_MS || sinceMs > MAX_CPU_SAMPLE_MS) {
      before = await lookAtCpus();
      await delay(CPU_SAMPLE_MS);
    }
    const after = await lookAtCpus();
    this.#ticks = after;
    return after.cpus.length === 0 ? undefined : usedPercents(before.cpus, after.cpus);
  }
}

/** The mean of all processors. */
export function meanPercent(percents: readonly number[]): number {
  const sum = percents.reduce((total, percent) => total + percent, 0);
  return percents.length === 0 ? 0 : rounded(sum / percents.length);
}

async function lookAtCpus(): Promise<{ at: number; cpus: CpuTicks[] }> {
  const cpus = await readCpuTicks();
  return { at: performance.now(), cpus };
}

/** A container's limit counts, where there is one; without, Node says 0 or a number beyond any machine. */
function totalMemoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, os.totalmem()) : os.totalmem();
}

async function readDisk(directory: string): Promise<MachineReading['disk']> {
  const { blocks, bavail, bsize } = await statfs(directory);
  return { totalBytes: blocks * bsize, availableBytes: bavail * bsize };
}

interface Topology {
  readonly model: string | undefined;
  readonly physicalCores: number | undefined;
}

/** Each system tells it in its own way, in a program's output or a registry: the library knows them. */
async function readTopology(): Promise<Topology> {
  const { cpu } = await import('systeminformation');
  const { manufacturer, brand, physicalCores } = await cpu();
  const model = `${manufacturer} ${brand}`.replace(/[®™]|\((?:R|TM)\)/gi, '').replace(/\s+/g, ' ');
  return {
    model: model.trim() === '' ? undefined : model.trim(),
    physicalCores: physicalCores > 0 ? physicalCores : undefined,
  };
}

/** Node counts as available what is entirely free there, which after a day is next to nothing. */
async function readMacMemory(): Promise<number> {
  const { mem } = await import('systeminformation');
  return (await mem()).available;
}
