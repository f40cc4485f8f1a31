import type { RunStats, StatsReading } from '../../../../src/client/stats.js';

export function statsRun(rest: Partial<RunStats> = {}): RunStats {
  return {
    id: 'r0000000000000001',
    state: 'running',
    label: '',
    commandLine: 'make -j all',
    context: 'engine',
    startedAt: '2026-01-01T00:00:00.000Z',
    ...rest,
  };
}

/** A machine with so many processors, two minutes and five seconds after its first run has begun. */
export function statsReading(cpus: number, rest: Partial<StatsReading> = {}): StatsReading {
  return {
    name: 'workstation',
    address: '192.168.1.42:33221',
    fingerprint: 'sha256:00',
    version: '0.1.0',
    at: '2026-01-01T00:02:05.000Z',
    rttMs: 0.43,
    os: 'linux',
    arch: 'x64',
    uptimeSeconds: 273_600,
    cpuModel: 'AMD Ryzen 9 7950X',
    logicalCpus: cpus,
    physicalCores: cpus / 2,
    cpuUsedPercent: 61.2,
    cpuUsedCores: 2.45,
    cpuUsedPercents: Array.from({ length: cpus }, (_, cpu) => (cpu * 25) % 101),
    memory: { totalBytes: 64e9, usedBytes: 22e9, availableBytes: 42e9, usedPercent: 34.4 },
    disk: { totalBytes: 2e12, availableBytes: 15e10, usedPercent: 92.5 },
    load: [12.31, 9.8, 4.02],
    gpus: [
      {
        name: 'NVIDIA H200',
        usedPercent: 78,
        memoryUsedBytes: 11e9,
        memoryTotalBytes: 24e9,
        celsius: 61,
      },
    ],
    activeRuns: 3,
    activeContexts: 1,
    contexts: 2,
    runs: [
      statsRun(),
      statsRun({
        commandLine: 'npm test -- --coverage --watch=false packages/frontend packages/backend',
        context: 'shop',
        startedAt: '2026-01-01T00:01:53.000Z',
      }),
    ],
    ...rest,
  };
}
