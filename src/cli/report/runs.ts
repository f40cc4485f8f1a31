/** A host's runs, as data and in words. */
import type { RunInfo } from '../../client/runs.js';
import { formatDuration } from '../../util/units.js';
import { renderTable } from './text.js';

const MAX_COMMAND_LENGTH = 60;

export function runInfoJson(run: RunInfo): object {
  return {
    id: run.id,
    state: run.state,
    label: run.label,
    command: run.command,
    context: run.context,
    started_at: run.startedAt,
    ended_at: run.endedAt ?? null,
    exit_code: run.exitCode ?? null,
    outcome: run.outcome ?? null,
  };
}

/** `nowMs` is our clock: the host's may differ, and a run is never younger than nothing. */
export function runsTable(runs: readonly RunInfo[], nowMs: number): string {
  return renderTable(
    ['ID', 'STATE', 'AGE', 'EXIT', 'COMMAND', 'CONTEXT', 'LABEL'],
    runs.map((run) => [
      run.id,
      run.state,
      ageOf(run, nowMs),
      run.exitCode === undefined ? '-' : String(run.exitCode),
      shortened(run.command.join(' ')),
      run.context,
      run.label,
    ]),
  );
}

function ageOf({ startedAt }: RunInfo, nowMs: number): string {
  const ageMs = nowMs - Date.parse(startedAt);
  if (!Number.isFinite(ageMs)) return '-';
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  return seconds === 0 ? '0s' : formatDuration(seconds * 1000);
}

function shortened(text: string): string {
  return text.length <= MAX_COMMAND_LENGTH ? text : `${text.slice(0, MAX_COMMAND_LENGTH - 1)}…`;
}
