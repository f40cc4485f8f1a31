/** A run as data: the lines of `exec --json`, and the document of `--report`. */
import type { HostlessReport, RunEvent, RunOutcome, RunReport } from '../../client/run-events.js';
import { assertNever } from '../../util/never.js';
import { errorParts } from './error.js';
import type { ErrorParts } from './error.js';
import { pathFields } from './json.js';

/** The object for one event, or undefined for those that are only for people's eyes. */
export function runEventJson(event: RunEvent): object | undefined {
  switch (event.type) {
    case 'step':
      return {
        type: 'step',
        step: event.step,
        state: event.state,
        // Tenths: a warm step takes less than a millisecond.
        elapsed_ms: Math.round(event.elapsedMs * 10) / 10,
        ...(event.detail === undefined ? {} : { detail: event.detail }),
      };
    case 'run':
      return {
        type: 'run',
        run_id: event.runId,
        host: event.host,
        address: event.address,
        workspace: event.workspace,
        is_cold: event.isCold,
        slot: event.slot,
      };
    case 'attached':
      return {
        type: 'attached',
        run_id: event.runId,
        host: event.host,
        address: event.address,
        state: event.state,
        command: event.command,
      };
    case 'local':
      return {
        type: 'local',
        runner: 'local',
        cwd: event.cwd,
        reason: errorParts(event.reason),
      };
    case 'output':
      return {
        type: 'output',
        stream: event.stream,
        offset: event.offset,
        data_b64: event.bytes.toString('base64'),
      };
    case 'forward':
      return {
        type: 'forward',
        port: event.port,
        wanted_local_port: event.wantedLocalPort,
        local_port: event.localPort,
        addresses: event.addresses,
      };
    case 'exit':
      return { type: 'exit', outcome: outcomeJson(event.outcome) };
    case 'notice':
      return {
        type: 'notice',
        level: event.level,
        code: event.code,
        message: event.message,
        ...(event.hint === undefined ? {} : { hint: event.hint }),
      };
    case 'conflict':
      return { type: 'conflict', ...conflictJson(event), description: event.description };
    case 'problem':
      return { type: 'problem', ...problemJson(event) };
    case 'progress':
      return undefined;
    default:
      return assertNever(event);
  }
}

/** What is known beside the client's own report. */
export interface RunFacts {
  readonly command: readonly string[];
  readonly label?: string | undefined;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly run?: Extract<RunEvent, { type: 'run' | 'attached' }> | undefined;
}

/** The whole of a run that came to an end. */
export function runReportJson(report: RunReport, facts: RunFacts): object {
  return {
    ...factsJson(facts),
    runner: 'host',
    run_id: report.runId,
    outcome: outcomeJson(report.outcome),
    exit_code: report.exitCode,
    signal: report.outcome.kind === 'signalled' ? report.outcome.signal : null,
    duration_ms: report.durationMs,
    uploaded_bytes: report.uploadedBytes,
    downloaded_bytes: report.downloadedBytes,
    changed: report.changed.map(pathFields),
    deleted: report.deleted.map(pathFields),
    conflicts: report.conflicts.map(conflictJson),
    problems: report.problems.map(problemJson),
    ignored_leftovers: leftoversJson(report.ignoredLeftovers),
    error: null,
  };
}

/** The same document for a command that no host had; what it changed here nobody has looked at. */
export function hostlessReportJson(report: HostlessReport, facts: RunFacts): object {
  const { runner, outcome, exitCode, durationMs } = report;
  return {
    ...factsJson(facts),
    runner,
    run_id: null,
    outcome: outcomeJson(outcome),
    exit_code: exitCode,
    signal: outcome.kind === 'signalled' ? outcome.signal : null,
    duration_ms: durationMs,
    uploaded_bytes: 0,
    downloaded_bytes: 0,
    changed: null,
    deleted: null,
    conflicts: [],
    problems: [],
    ignored_leftovers: null,
    error: null,
  };
}

/** The same document for a run that rmtx could not carry through. */
export function failedRunJson(
  failure: { readonly error: ErrorParts; readonly exitCode: number },
  facts: RunFacts,
): object {
  return {
    ...factsJson(facts),
    runner: facts.run === undefined ? null : 'host',
    run_id: facts.run?.runId ?? null,
    outcome: null,
    exit_code: failure.exitCode,
    signal: null,
    duration_ms: facts.endedAt.getTime() - facts.startedAt.getTime(),
    error: failure.error,
  };
}

function factsJson(facts: RunFacts): object {
  return {
    command: facts.command,
    label: facts.label ?? null,
    host: facts.run?.host ?? null,
    address: facts.run?.address ?? null,
    started_at: facts.startedAt.toISOString(),
    ended_at: facts.endedAt.toISOString(),
  };
}

function outcomeJson(outcome: RunOutcome): object {
  switch (outcome.kind) {
    case 'exited':
      return { kind: 'exited', code: outcome.code };
    case 'signalled':
      return { kind: 'signalled', signal: outcome.signal, number: outcome.number };
    case 'timed-out':
      return { kind: 'timed-out' };
    case 'interrupted':
      return { kind: 'interrupted', signal: outcome.signal ?? null };
    case 'not-found':
      return { kind: 'not-found', searched: outcome.searched };
    case 'not-executable':
      return { kind: 'not-executable', reason: outcome.reason };
    default:
      return assertNever(outcome);
  }
}

function conflictJson(conflict: {
  readonly path: string;
  readonly keptTheirsAs?: string | undefined;
}): object {
  const { path, keptTheirsAs } = conflict;
  return {
    ...pathFields(path),
    kept_theirs_as: keptTheirsAs === undefined ? null : pathFields(keptTheirsAs),
  };
}

function problemJson(problem: {
  readonly path: string;
  readonly code: string;
  readonly message: string;
}): object {
  return { ...pathFields(problem.path), code: problem.code, message: problem.message };
}

function leftoversJson(leftovers: RunReport['ignoredLeftovers']): object | null {
  if (leftovers === undefined) return null;
  const { count, largestFolder, bytes } = leftovers;
  return { count, bytes, largest_folder: pathFields(largestFolder) };
}
