/** What a client asks and decides about its runs, apart from visiting them. */
import { RmtxError } from '../errors.js';
import { exitCodeOf } from '../protocol/exit-code.js';
import type { Fields } from '../util/fields.js';
import { encodeHostMessage } from '../protocol/host-message-codec.js';
import { RUN_ID_PATTERN } from '../protocol/messages.js';
import { runNotFound } from './run-errors.js';
import type { RunRecord } from './run-record.js';
import type { Run } from './run.js';
import type { Routes } from './routes.js';
import type { HostServices } from './services.js';

export function runRoutes({ contexts, runs }: HostServices, clientId: string): Routes {
  const named = (body: Fields): Run => {
    const id = body.matching('run_id', RUN_ID_PATTERN);
    const run = runs.find(id, clientId);
    if (run === undefined) throw runNotFound(id);
    return run;
  };
  return {
    'GET /v1/runs': () => ({ runs: runs.list(clientId).map(describeRun) }),
    // The newest of one context, or of all.
    'POST /v1/runs/last': (body) => {
      const key = body.optionalString('context_key', 64);
      const contextId = key === undefined ? undefined : contexts.idOf(clientId, key);
      const [newest] = runs
        .list(clientId)
        .filter((run) => key === undefined || run.contextId === contextId)
        .sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
      return { run_id: newest?.id ?? null };
    },
    'POST /v1/runs/cancel': async (body) => {
      const run = named(body);
      const isForced = body.boolean('is_forced');
      const wasGoingOn = ['preparing', 'running', 'collecting'].includes(run.state);
      run.life?.stop({ isForced });
      // Also where it was lost: its state says so.
      await run.collected.catch(() => undefined);
      return { was_going_on: wasGoingOn, run: describeRun(run.record) };
    },
    'POST /v1/runs/discard': (body) => {
      const run = named(body);
      refuseBusy(run);
      run.take('discard');
      return { run: describeRun(run.record) };
    },
    'POST /v1/runs/forget': async (body) => {
      const run = named(body);
      refuseBusy(run);
      if (run.state === 'waiting') throw stillWaiting(run);
      // What is left of it is tidying: some milliseconds.
      await run.life?.settled;
      await runs.forget(run);
      return { run: describeRun(run.record) };
    },
  };
}

/** What waits is dropped; what goes on, or is being brought home, is somebody's. */
function refuseBusy(run: Run): void {
  if (run.state === 'waiting' && run.visitors.isAnyoneThere)
    throw new RmtxError(
      'ERR_RMTX_CONTEXT_BUSY',
      `the changes of run ${run.id} are being brought home`,
    );
  if (['preparing', 'running', 'collecting'].includes(run.state))
    throw new RmtxError('ERR_RMTX_CONTEXT_BUSY', `run ${run.id} is still going on`, {
      hint: `rmtx cancel ${run.id} ends it`,
    });
}

function stillWaiting({ id }: Run): RmtxError {
  return new RmtxError(
    'ERR_RMTX_CONTEXT_BUSY',
    `the changes of run ${id} wait to be brought home`,
    {
      hint: `rmtx attach ${id} takes them, rmtx cancel --discard ${id} drops them`,
    },
  );
}

/** Keys are part of what `rmtx runs --json` promises. */
function describeRun(record: RunRecord): object {
  const { exit, changeSet } = record;
  return {
    id: record.id,
    state: record.state,
    label: record.label,
    command: record.command,
    context: record.contextName,
    context_id: record.contextId,
    started_at: record.startedAt,
    ended_at: record.endedAt ?? null,
    // As `exec` would exit with it.
    exit_code: exit === undefined ? null : exitCodeOf(exit.outcome),
    outcome: exit === undefined ? null : encodedOutcome(exit),
    changes: record.state === 'waiting' ? (changeSet?.changes ?? 0) : 0,
    wants_sync_back: record.wantsSyncBack,
    has_terminal: record.hasTerminal,
    reason: record.reason ?? null,
  };
}

function encodedOutcome(exit: NonNullable<RunRecord['exit']>): unknown {
  return (encodeHostMessage({ type: 'exited', ...exit }) as { outcome: unknown }).outcome;
}
