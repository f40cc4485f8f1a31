/** A host's runs, as data and in words. */
import type { RunInfo } from '../../client/runs.js';
import { ageText, renderTable } from './text.js';

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

/** `nowMs` is our clock; the host's may differ. */
export function runsTable(runs: readonly RunInfo[], nowMs: number): string {
  return renderTable(
    ['ID', 'STATE', 'AGE', 'EXIT', 'COMMAND', 'CONTEXT', 'LABEL'],
    runs.map((run) => [
      run.id,
      run.state,
      ageText(nowMs - Date.parse(run.startedAt)),
      run.exitCode === undefined ? '-' : String(run.exitCode),
      shortened(run.command.join(' ')),
      run.context,
      run.label,
    ]),
  );
}

function shortened(text: string): string {
  return text.length <= MAX_COMMAND_LENGTH ? text : `${text.slice(0, MAX_COMMAND_LENGTH - 1)}…`;
}
