/** Who of the paired hosts is up, as data and in words. */
import type { SurveyedHost } from '../../client/host-survey.js';
import { systemErrorCode } from '../../errors.js';
import { errorParts } from './error.js';
import { roundTrip } from './stats-picture.js';
import { ageText, renderTable } from './text.js';

/** That a host is there is noted at most once a minute. */
const NOW_MS = 90_000;

export function surveyedHostJson(host: SurveyedHost): object {
  const { stats } = host;
  return {
    name: host.name,
    fingerprint: host.fingerprint,
    address: host.address,
    paired_at: host.pairedAt,
    last_seen: host.lastSeen ?? null,
    state: host.state,
    error: host.error === undefined ? null : errorParts(host.error),
    rtt_ms: stats === undefined ? null : Math.round(stats.rttMs * 10) / 10,
    version: stats?.version ?? null,
    os: stats?.os ?? null,
    arch: stats?.arch ?? null,
    cpu_model: stats?.cpuModel ?? null,
    logical_cpus: stats?.logicalCpus ?? null,
    cpu_used_percent: stats?.cpuUsedPercent ?? null,
    load_1m: stats?.load?.[0] ?? null,
    memory_available_bytes: stats?.memory.availableBytes ?? null,
    memory_total_bytes: stats?.memory.totalBytes ?? null,
    active_runs: stats?.activeRuns ?? null,
  };
}

/** `all` adds what a table on a narrow terminal has no room for. */
export function surveyedHostsTable(
  hosts: readonly SurveyedHost[],
  { nowMs, extent }: { readonly nowMs: number; readonly extent: 'short' | 'all' },
): string {
  const more = extent === 'all' ? ['SYSTEM', 'MODEL', 'PAIRED', 'FINGERPRINT'] : [];
  return renderTable(
    ['NAME', 'STATE', 'ADDRESS', 'CPU', 'CPUS', 'LOAD', 'RUNS', 'RTT', 'LAST SEEN', ...more],
    hosts.map((host) => [
      host.name,
      stateText(host, extent),
      host.address,
      ...busyCells(host),
      lastSeen(host, nowMs),
      ...(extent === 'all' ? moreCells(host) : []),
    ]),
  );
}

function lastSeen({ lastSeen: at }: SurveyedHost, nowMs: number): string {
  if (at === undefined) return '-';
  const ageMs = nowMs - Date.parse(at);
  return ageMs < NOW_MS ? 'now' : `${ageText(ageMs)} ago`;
}

function busyCells({ stats }: SurveyedHost): string[] {
  if (stats === undefined) return ['-', '-', '-', '-', '-'];
  const { cpuUsedPercent: used, logicalCpus, load, activeRuns, rttMs } = stats;
  return [
    used === undefined ? '-' : `${Math.round(used)}%`,
    String(logicalCpus),
    load === undefined ? '-' : load[0].toFixed(2),
    String(activeRuns),
    roundTrip(rttMs),
  ];
}

function moreCells({ stats, pairedAt, fingerprint }: SurveyedHost): string[] {
  const system = stats === undefined ? '-' : `${stats.os} ${stats.arch}`;
  return [system, stats?.cpuModel ?? '-', pairedAt, fingerprint];
}

/** Short; `rmtx hosts --json` has the whole story. */
function stateText({ state, error }: SurveyedHost, extent: 'short' | 'all'): string {
  if (error === undefined) return state;
  if (extent === 'all') return `${state}: ${error.message}`;
  switch (state) {
    case 'down':
      return `down (${reasonOf(error)})`;
    case 'refused':
      return 'refused (not paired)';
    case 'other':
      return 'other (another key)';
    case 'up':
    case 'unclear':
      return state;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'no rmtx host there',
  EHOSTUNREACH: 'no such machine',
  ENETUNREACH: 'no network',
  ENOTFOUND: 'unknown name',
  EAI_AGAIN: 'unknown name',
};

function reasonOf(error: NonNullable<SurveyedHost['error']>): string {
  return REASONS[systemErrorCode(error.cause) ?? ''] ?? 'no answer';
}
