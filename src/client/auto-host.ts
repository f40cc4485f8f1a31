/** `--host auto`: asks all paired hosts at the same time and takes one for a run (host-score.ts). */
import { contextKey } from '../config/context-key.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { RmtxError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import type { ClientHome } from './home.js';
import { notPaired } from './host-choice.js';
import { chooseOffer } from './host-score.js';
import type { HostOffer } from './host-score.js';
import { surveyHosts } from './host-survey.js';
import type { SurveyedHost } from './host-survey.js';
import type { StatsReading } from './stats.js';

/** As `rmtx hosts`: time for a host that measures itself first, and no more than a person waits. */
const BUDGET_MS = 1500;

export interface AutoHostOptions {
  readonly home: ClientHome;
  readonly config: ResolvedConfig;
  /** The only key that may be taken. */
  readonly pin: string | undefined;
  readonly abortSignal: AbortSignal;
  readonly warn: (line: string) => void;
  /** Told in one line of each host what it offers, or why it offers nothing. */
  readonly onCandidate: (line: string) => void;
}

export interface AutoHost {
  readonly name: string;
  readonly fingerprint: string;
  /** In one line. */
  readonly why: string;
}

/**
 * The host for a run of this project. Rejects with NOT_PAIRED where there is none to ask, and where none is up
 * with all their reasons: with an error of the connection only where nothing answers for any of them.
 */
export async function chooseAutoHost(options: AutoHostOptions): Promise<AutoHost> {
  const { home, config, pin, abortSignal, warn, onCandidate } = options;
  const hosts = await surveyHosts(home, {
    budgetMs: BUDGET_MS,
    warn,
    contextKey: contextKey(config.projectRoot, config.contextName),
    only: pin,
    abortSignal,
  });
  abortSignal.throwIfAborted();
  for (const host of hosts) onCandidate(candidateLine(host));
  const chosen = chooseOffer(hosts.flatMap(offerOf));
  if (chosen !== undefined) return { ...chosen.offer, why: chosen.why };
  if (hosts.length > 0) throw noneUp(hosts);
  throw notPaired(
    pin === undefined
      ? 'this machine is not paired with any host'
      : 'this machine is not paired with the host that the config pins',
  );
}

function offerOf(host: SurveyedHost): HostOffer[] {
  const { name, fingerprint, stats, hasWorkspace } = host;
  if (stats === undefined) return [];
  const { rttMs } = stats;
  return [{ name, fingerprint, isWarm: hasWorkspace, freeCores: freeCores(stats), rttMs }];
}

/** What a system does not tell of itself counts as nothing to do. */
export function freeCores(
  stats: Pick<StatsReading, 'logicalCpus' | 'cpuUsedPercent' | 'load'>,
): number {
  const { logicalCpus, cpuUsedPercent, load } = stats;
  const used =
    cpuUsedPercent === undefined ? (load?.[0] ?? 0) : (logicalCpus * cpuUsedPercent) / 100;
  return Math.max(0, logicalCpus - used);
}

function candidateLine(host: SurveyedHost): string {
  const { name, address, state, stats, hasWorkspace, error } = host;
  const who = `${name} at ${address}`;
  if (stats === undefined) return `${who}: ${state} (${error?.message ?? 'no answer'})`;
  const warmth = hasWorkspace ? 'warm' : 'cold';
  const free = `${freeCores(stats).toFixed(1)} of ${stats.logicalCpus} CPUs free`;
  return `${who}: up, ${warmth}, ${free}, rtt ${stats.rttMs.toFixed(1)}ms`;
}

/** One that answers and refuses is there: that is no outage, and its code says so. */
function noneUp(hosts: readonly SurveyedHost[]): RmtxError {
  const there = hosts.find(({ state }) => state !== 'down');
  const code: ErrorCode = there?.error?.code ?? 'ERR_RMTX_HOST_UNREACHABLE';
  const reasons = hosts.map(
    ({ name, address, error }) => `${name} at ${address}: ${error?.message ?? 'no answer'}`,
  );
  return new RmtxError(code, `no paired host is up (${reasons.join('; ')})`, {
    hint: 'rmtx hosts shows them; rmtx doctor --host NAME finds the cause',
    cause: (there ?? hosts[0])?.error,
  });
}
