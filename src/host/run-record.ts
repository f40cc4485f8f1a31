/** What of a run survives the host process: enough to end what it left behind, and to hand it over later. */
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { parseHostMessage, encodeHostMessage } from '../protocol/host-message-codec.js';
import { badMessage } from '../protocol/bad-message.js';
import { parseStateFile } from '../util/state-file.js';
import type { Fields } from '../util/fields.js';
import { RUN_ID_PATTERN, RUN_STATES } from '../protocol/messages.js';
import type { HostMessage, RunState } from '../protocol/messages.js';
import { PRIVATE_DIRECTORY_MODE, readFileIfExists, writeFileAtomic } from '../util/atomic-file.js';

/** How the command ended, as its client is told. */
export type ExitReport = Omit<Extract<HostMessage, { type: 'exited' }>, 'type'>;
/** What is said of a change set; its records are in a file of their own. */
export type ChangeSetHead = Omit<Extract<HostMessage, { type: 'change_set' }>, 'type'>;

/** Bytes of output, by stream. */
export interface OutputBytes {
  readonly stdout: number;
  readonly stderr: number;
}

/** Whose a run is, and what it is called. */
export interface RunOrigin {
  readonly id: string;
  readonly clientId: string;
  readonly contextId: string;
  readonly contextName: string;
  readonly label: string;
}

export interface RunRecord extends RunOrigin {
  readonly command: readonly string[];
  /** Relative to the project root, as the client named it. */
  readonly cwd: string;
  readonly hasTerminal: boolean;
  readonly hasStdin: boolean;
  readonly wantsSyncBack: boolean;
  /** Undefined until a workspace was taken. */
  readonly slot: number | undefined;
  /** ISO 8601. Of the command, once it has started. */
  readonly startedAt: string;
  readonly endedAt: string | undefined;
  readonly state: RunState;
  readonly exit: ExitReport | undefined;
  readonly changeSet: ChangeSetHead | undefined;
  /** All that was printed, whether it is still kept or not; undefined while that may grow. */
  readonly printed: OutputBytes | undefined;
  /** Of both streams, on disk. */
  readonly keptBytes: number;
  /** Why it is lost. */
  readonly reason: string | undefined;
}

const RECORD = 'record.json';

/** Of a run that is being opened: what it is to execute comes later. */
export function newRecord(origin: RunOrigin): RunRecord {
  return {
    ...origin,
    command: [],
    cwd: '',
    hasTerminal: false,
    hasStdin: false,
    wantsSyncBack: false,
    slot: undefined,
    startedAt: new Date().toISOString(),
    endedAt: undefined,
    state: 'preparing',
    exit: undefined,
    changeSet: undefined,
    printed: undefined,
    keptBytes: 0,
    reason: undefined,
  };
}

export function runDirectory(runs: string, id: string): string {
  return path.join(runs, id);
}

export function makeRunDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
}

/** In one step, and not made to survive a power cut: every run writes some, and waits for them. */
export function writeRunRecord(directory: string, record: RunRecord): void {
  writeFileAtomic(path.join(directory, RECORD), JSON.stringify(encode(record)));
}

export interface FoundRuns {
  readonly records: RunRecord[];
  /** Runs that never began, or whose record was set aside. */
  readonly others: { readonly id: string; readonly isDamaged: boolean }[];
}

/** Every run's directory; a damaged record is set aside alone and reported. */
export function readRunRecords(runs: string, log: (line: string) => void): FoundRuns {
  const found: FoundRuns = { records: [], others: [] };
  for (const id of readdirSync(runs)) {
    if (!RUN_ID_PATTERN.test(id)) continue;
    const file = path.join(runDirectory(runs, id), RECORD);
    const bytes = readFileIfExists(file);
    if (bytes === undefined) {
      found.others.push({ id, isDamaged: readFileIfExists(`${file}.corrupt`) !== undefined });
      continue;
    }
    try {
      found.records.push(decode(parseStateFile(bytes, file), id));
    } catch {
      log(`run ${id}: its record is damaged and set aside`);
      renameSync(file, `${file}.corrupt`);
      found.others.push({ id, isDamaged: true });
    }
  }
  return found;
}

function encode(record: RunRecord): object {
  return {
    id: record.id,
    client_id: record.clientId,
    context_id: record.contextId,
    context_name: record.contextName,
    label: record.label,
    command: record.command,
    cwd: record.cwd,
    has_terminal: record.hasTerminal,
    has_stdin: record.hasStdin,
    wants_sync_back: record.wantsSyncBack,
    slot: record.slot,
    started_at: record.startedAt,
    ended_at: record.endedAt,
    state: record.state,
    exited: record.exit && encodeHostMessage({ type: 'exited', ...record.exit }),
    change_set: record.changeSet && encodeHostMessage({ type: 'change_set', ...record.changeSet }),
    printed: record.printed,
    kept_bytes: record.keptBytes,
    reason: record.reason,
  };
}

function decode(fields: Fields, id: string): RunRecord {
  if (fields.string('id') !== id) throw badMessage('the id is not the name of its directory');
  return {
    id,
    clientId: fields.string('client_id'),
    contextId: fields.string('context_id'),
    contextName: fields.string('context_name'),
    label: fields.string('label'),
    command: fields.strings('command', 100_000, Number.MAX_SAFE_INTEGER),
    cwd: fields.string('cwd'),
    hasTerminal: fields.boolean('has_terminal'),
    hasStdin: fields.boolean('has_stdin'),
    wantsSyncBack: fields.boolean('wants_sync_back'),
    slot: fields.optionalInteger('slot', 0),
    startedAt: fields.string('started_at'),
    endedAt: fields.optionalString('ended_at'),
    state: fields.oneOf('state', RUN_STATES),
    exit: decodePart(fields, 'exited'),
    changeSet: decodePart(fields, 'change_set'),
    printed: fields.has('printed') ? decodePrinted(fields.object('printed')) : undefined,
    keptBytes: fields.integer('kept_bytes', 0),
    reason: fields.optionalString('reason', 65_536),
  };
}

function decodePrinted(fields: Fields): OutputBytes {
  return { stdout: fields.integer('stdout', 0), stderr: fields.integer('stderr', 0) };
}

function decodePart<T extends 'exited' | 'change_set'>(
  fields: Fields,
  type: T,
): Omit<Extract<HostMessage, { type: T }>, 'type'> | undefined {
  if (!fields.has(type)) return undefined;
  const { type: found, ...part } = parseHostMessage(fields.raw(type));
  if (found !== type) throw badMessage(`${found} where ${type} is recorded`);
  return part as Omit<Extract<HostMessage, { type: T }>, 'type'>;
}
