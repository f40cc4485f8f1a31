/** What the host has of this client's runs: list, find, stop, drop. */
import { contextKey } from '../config/context-key.js';
import { RmtxError } from '../errors.js';
import type { Fields } from '../util/fields.js';
import { RUN_ID_PATTERN, RUN_STATES } from '../protocol/messages.js';
import type { RunState } from '../protocol/messages.js';
import { printable } from '../util/printable.js';
import { withHost } from './control.js';
import type { Call, HostTarget } from './control.js';

export interface RunInfo {
  readonly id: string;
  readonly state: RunState;
  readonly label: string;
  readonly command: readonly string[];
  /** The context's name. */
  readonly context: string;
  /** ISO 8601, the host's clock. */
  readonly startedAt: string;
  readonly endedAt: string | undefined;
  /** What `exec` would have exited with; undefined while that is not known. */
  readonly exitCode: number | undefined;
  /** How the command ended. */
  readonly outcome: RunInfoOutcome | undefined;
}

export interface RunInfoOutcome {
  /** `exited`, `signalled`, `timed-out`, … */
  readonly kind: string;
  readonly code?: number;
  readonly signal?: string;
}

const MAX_RUNS = 100_000;

/** All that the host still knows of, the newest first. */
export function listRuns(target: HostTarget): Promise<RunInfo[]> {
  return withHost(target, async (call) =>
    (await call('GET', '/v1/runs'))
      .objects('runs', MAX_RUNS)
      .map(parseRun)
      .sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1)),
  );
}

/**
 * The id of the run that somebody means: the id itself, the beginning of one, or `last`: the newest of the
 * project, or of this client where no config governs. Asks the host unless it is a whole id. Throws
 * RUN_NOT_FOUND, and BAD_ARGUMENT for the beginning of several.
 */
export async function findRun(target: HostTarget, named: string): Promise<string> {
  if (RUN_ID_PATTERN.test(named)) return named;
  if (named === 'last') return await findLastRun(target);
  const runs = await listRuns(target);
  const found = runs.filter(({ id }) => id.startsWith(named));
  const [only, second] = found;
  if (only === undefined)
    throw new RmtxError(
      'ERR_RMTX_RUN_NOT_FOUND',
      `the host has no run ${printable(named)} of this client`,
      { hint: 'rmtx runs --all lists them' },
    );
  if (second === undefined) return only.id;
  const shown = found.slice(0, 5).map(({ id }) => id);
  throw new RmtxError(
    'ERR_RMTX_BAD_ARGUMENT',
    `${printable(named)} is the beginning of several runs`,
    {
      hint: `say more of one: ${shown.join(', ')}`,
    },
  );
}

/** Never a run of another project than the one that somebody is in: `rmtx cancel last` is quickly typed. */
async function findLastRun(target: HostTarget): Promise<string> {
  const { config } = target;
  const key = config && contextKey(config.projectRoot, config.contextName);
  const id = await withHost(target, async (call) => {
    const answer = await call('POST', '/v1/runs/last', { context_key: key });
    return answer.raw('run_id') === null ? undefined : answer.matching('run_id', RUN_ID_PATTERN);
  });
  if (id !== undefined) return id;
  throw new RmtxError(
    'ERR_RMTX_RUN_NOT_FOUND',
    `the host has no runs of this ${config === undefined ? 'client' : 'project'}`,
    { hint: 'rmtx runs --all lists them' },
  );
}

export interface CancelledRun {
  /** False: it had ended before. */
  readonly wasGoingOn: boolean;
  readonly run: RunInfo;
}

/** Asks the command to end, or ends it; resolves with what the run is when it has. */
export function cancelRun(
  target: HostTarget,
  { runId, isForced }: { readonly runId: string; readonly isForced: boolean },
): Promise<CancelledRun> {
  const cancel = async (call: Call): Promise<CancelledRun> => {
    const answer = await call('POST', '/v1/runs/cancel', { run_id: runId, is_forced: isForced });
    return { wasGoingOn: answer.boolean('was_going_on'), run: parseRun(answer.object('run')) };
  };
  return withHost(target, cancel, { answerLimitMs: 0 });
}

/** Drops what a run changed and nobody has taken. */
export function discardRun(target: HostTarget, runId: string): Promise<RunInfo> {
  return withHost(target, async (call) => {
    const answer = await call('POST', '/v1/runs/discard', { run_id: runId });
    return parseRun(answer.object('run'));
  });
}

function parseRun(fields: Fields): RunInfo {
  return {
    id: fields.matching('id', RUN_ID_PATTERN),
    state: fields.oneOf('state', RUN_STATES),
    label: fields.string('label'),
    command: fields.strings('command', 100_000),
    context: fields.string('context'),
    startedAt: fields.string('started_at', 64),
    endedAt: fields.optionalString('ended_at', 64),
    exitCode: fields.optionalInteger('exit_code', 0, 255),
    outcome: fields.has('outcome') ? parseOutcome(fields.object('outcome')) : undefined,
  };
}

function parseOutcome(fields: Fields): RunInfoOutcome {
  const code = fields.optionalInteger('code', 0, 255);
  const signal = fields.optionalString('exit_signal', 64);
  return {
    kind: fields.string('kind', 64),
    ...(code === undefined ? {} : { code }),
    ...(signal === undefined ? {} : { signal }),
  };
}
