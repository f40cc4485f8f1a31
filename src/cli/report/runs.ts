/** A host's runs, as data and in words. */
import type { RunInfo } from '../../client/runs.js';
import { ageText, renderTable } from './text.js';

const MAX_COMMAND_LENGTH = 60;
/** Less says nothing; it is a little more than the word above it. */
const MIN_COMMAND_LENGTH = 10;

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

export interface RunsLook {
  /** By our clock; the host's may differ. */
  readonly nowMs: number;
  /** Of the terminal that it goes to: the commands are cut until the lines fit, or nearly. */
  readonly columns: number | undefined;
}

export function runsTable(runs: readonly RunInfo[], { nowMs, columns }: RunsLook): string {
  const table = (limit: number): string =>
    renderTable(
      ['ID', 'STATE', 'AGE', 'EXIT', 'COMMAND', 'CONTEXT', 'LABEL'],
      runs.map((run) => [
        run.id,
        run.state,
        ageText(nowMs - Date.parse(run.startedAt)),
        run.exitCode === undefined ? '-' : String(run.exitCode),
        shortened(run.command.join(' '), limit),
        run.context,
        run.label,
      ]),
    );
  if (columns === undefined) return table(MAX_COMMAND_LENGTH);
  const bare = table(MIN_COMMAND_LENGTH).split('\n');
  const room = columns - Math.max(...bare.map((line) => line.length));
  return table(clamped(MIN_COMMAND_LENGTH + room));
}

function clamped(length: number): number {
  return Math.min(MAX_COMMAND_LENGTH, Math.max(MIN_COMMAND_LENGTH, length));
}

function shortened(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}
