import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { Fields } from '../protocol/fields.js';
import { RUN_ID_PATTERN, RUN_STATES } from '../protocol/messages.js';
import type { RunState } from '../protocol/messages.js';
import { PRIVATE_DIRECTORY_MODE, readFileIfExists, writeFileAtomic } from '../util/atomic-file.js';

/** What of a run must survive the host process: enough to find and end what it left behind. */
export interface RunRecord {
  readonly id: string;
  readonly clientId: string;
  readonly contextId: string;
  readonly label: string;
  readonly state: RunState;
  readonly startedAt: string;
}

export function runDirectory(runs: string, id: string): string {
  return path.join(runs, id);
}

export function writeRunRecord(runs: string, record: RunRecord): void {
  const directory = runDirectory(runs, record.id);
  mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  writeFileAtomic(
    path.join(directory, 'record.json'),
    JSON.stringify({
      id: record.id,
      client_id: record.clientId,
      context_id: record.contextId,
      label: record.label,
      state: record.state,
      started_at: record.startedAt,
    }),
  );
}

/** Every readable record; a damaged one is set aside alone and reported. */
export function readRunRecords(runs: string, log: (line: string) => void): RunRecord[] {
  const records: RunRecord[] = [];
  for (const id of readdirSync(runs)) {
    if (!RUN_ID_PATTERN.test(id)) continue;
    const file = path.join(runDirectory(runs, id), 'record.json');
    const bytes = readFileIfExists(file);
    if (bytes === undefined) continue;
    try {
      records.push(decode(new Fields(JSON.parse(bytes.toString('utf8')), `run ${id}`), id));
    } catch {
      log(`run ${id}: its record is damaged and set aside`);
      renameSync(file, `${file}.corrupt`);
    }
  }
  return records;
}

function decode(fields: Fields, id: string): RunRecord {
  return {
    id,
    clientId: fields.string('client_id'),
    contextId: fields.string('context_id'),
    label: fields.string('label'),
    state: fields.oneOf('state', RUN_STATES),
    startedAt: fields.string('started_at'),
  };
}
