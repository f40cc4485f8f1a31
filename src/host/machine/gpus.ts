/**
 * Graphics processors and how busy they are: NVIDIA's by the program that comes with the driver, AMD's on
 * Linux from its files in /sys. The library for the other readings waits for nvidia-smi with everything
 * standing still, so it is asked here.
 */
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';

export interface Gpu {
  readonly name: string;
  readonly usedPercent: number | undefined;
  readonly memoryUsedBytes: number | undefined;
  readonly memoryTotalBytes: number | undefined;
  readonly celsius: number | undefined;
}

/** A driver that is being loaded takes seconds; one that hangs, for ever. */
const NVIDIA_LIMIT_MS = 5000;
const MAX_OUTPUT_BYTES = 64 * 1024;
const MAX_GPUS = 64;
const MIB = 1024 * 1024;
const QUERY = ['name', 'utilization.gpu', 'memory.used', 'memory.total', 'temperature.gpu'];
const DRM = '/sys/class/drm';

/** Empty where there are none, or none that say anything of themselves. Never rejects. */
export async function readGpus(): Promise<Gpu[]> {
  const [nvidia, amd] = await Promise.all([nvidiaGpus(), amdGpus(DRM)]);
  return [...nvidia, ...amd].slice(0, MAX_GPUS);
}

function nvidiaGpus(): Promise<Gpu[]> {
  const args = [`--query-gpu=${QUERY.join(',')}`, '--format=csv,noheader,nounits'];
  const limits = { timeout: NVIDIA_LIMIT_MS, maxBuffer: MAX_OUTPUT_BYTES, windowsHide: true };
  return new Promise((resolve) => {
    execFile('nvidia-smi', args, { ...limits, killSignal: 'SIGKILL' }, (error, stdout) => {
      // Where it fails it says why on stdout, in words.
      resolve(error === null ? parseNvidia(stdout) : []);
    });
  });
}

/** `NVIDIA H200, 3, 512, 143771, 31`, sizes in MiB; `[N/A]` and the like for what it cannot tell. */
export function parseNvidia(text: string): Gpu[] {
  const rows = text.split('\n').map((line) => line.split(',').map((cell) => cell.trim()));
  return rows
    .filter((cells) => cells.length === QUERY.length)
    .map(([name = '', used, memoryUsed, memoryTotal, celsius]) => ({
      name,
      usedPercent: numberIn(used),
      memoryUsedBytes: scaled(numberIn(memoryUsed), MIB),
      memoryTotalBytes: scaled(numberIn(memoryTotal), MIB),
      celsius: numberIn(celsius),
    }));
}

/** From the files that the driver amdgpu keeps (kernel documentation, amdgpu/driver-misc). */
export async function amdGpus(drm: string): Promise<Gpu[]> {
  if (process.platform !== 'linux') return [];
  const entries = await readdir(drm).catch(() => []);
  const cards = entries.filter((entry) => /^card\d+$/.test(entry)).sort();
  const found = await Promise.all(cards.map((card) => amdGpu(path.join(drm, card, 'device'))));
  return found.filter((gpu) => gpu !== undefined);
}

async function amdGpu(device: string): Promise<Gpu | undefined> {
  const text = async (name: string): Promise<string | undefined> =>
    (await readFile(path.join(device, name), 'utf8').catch(() => undefined))?.trim();
  const usedPercent = numberIn(await text('gpu_busy_percent'));
  if (usedPercent === undefined) return undefined;
  const product = await text('product_name');
  return {
    name: product === undefined || product === '' ? 'AMD' : product,
    usedPercent,
    memoryUsedBytes: numberIn(await text('mem_info_vram_used')),
    memoryTotalBytes: numberIn(await text('mem_info_vram_total')),
    celsius: undefined,
  };
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined;
}

function scaled(amount: number | undefined, factor: number): number | undefined {
  return amount === undefined ? undefined : Math.round(amount * factor);
}
