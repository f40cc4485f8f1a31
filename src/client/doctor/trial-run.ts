/** A run without a project: in a context of its own, with an empty workspace, of a command that says a word. */
import { createHash, randomBytes } from 'node:crypto';
import { isRmtxError } from '../../errors.js';
import type { CommandOutcome } from '../../protocol/messages.js';
import { EntryTable } from '../../sync/entry-table.js';
import { NO_RULES } from '../../sync/rule-sources.js';
import { AnchoredRoot } from '../../util/safe-path.js';
import type { HostConnection } from '../connect.js';
import type { Call } from '../control.js';
import { newRunId } from '../run-id.js';
import { RunStreams } from '../streams.js';
import { uploadProject } from '../upload.js';
import { Visit } from '../visit.js';

/**
 * The same for every trial of a client: what one that was cut off has left goes with the next one. No
 * project has it: the keys of projects are hashes of an absolute path.
 */
const CONTEXT_KEY = createHash('sha256').update('rmtx doctor').digest('hex').slice(0, 32);
const CONTEXT_NAME = 'rmtx-doctor';
/** The command is ended there by itself when we are gone, or do not get to its end. */
const COMMAND_LIMIT_MS = 3000;
const DISCONNECT_GRACE_MS = 100;
/** More than the word is no answer to it. */
const MAX_OUTPUT_BYTES = 1024;

export interface Trial {
  readonly outcome: CommandOutcome;
  /** What the command was to print, and did. */
  readonly isWordHome: boolean;
  /** From the opening to the end of the output. */
  readonly elapsedMs: number;
}

export interface TrialOptions {
  readonly host: HostConnection;
  readonly runId: string;
  /** As Node names it, where that is known. */
  readonly platform: string | undefined;
  /** Any directory: nothing of it is sent. */
  readonly anyDirectory: string;
}

export const newTrialId = newRunId;

/**
 * Runs it, and lets go of it. Rejects where the host refuses or the connection breaks; whatever comes of
 * it, `tidyTrial` has to follow.
 */
export async function tryRun(options: TrialOptions): Promise<Trial> {
  const { host, runId } = options;
  const startedAt = performance.now();
  const word = randomBytes(12).toString('hex');
  host.send({
    type: 'run_open',
    runId,
    contextKey: CONTEXT_KEY,
    contextName: CONTEXT_NAME,
    label: 'rmtx doctor',
    offersEntriesAhead: false,
  });
  await host.inbox.next('run_opened');
  await sendNothing(options);
  const output: Buffer[] = [];
  const visit = startVisit(host, output);
  host.send({
    type: 'start',
    command: options.platform === 'win32' ? ['cmd', '/c', 'echo', word] : ['echo', word],
    cwd: '',
    env: new Map(),
    hasStdin: false,
    timeoutMs: COMMAND_LIMIT_MS,
    wantsSyncBack: false,
    clockOffsetUs: 0,
    terminal: undefined,
    isDetached: false,
    disconnectGraceMs: DISCONNECT_GRACE_MS,
  });
  const { outcome } = await visit.untilExit();
  const elapsedMs = performance.now() - startedAt;
  await visit.settle('discard');
  return { outcome, elapsedMs, isWordHome: Buffer.concat(output).toString().trim() === word };
}

/** Removes context and record from the host. Resolves to what could not be removed, for the user. */
export async function tidyTrial(call: Call, runId: string): Promise<string | undefined> {
  const problems: string[] = [];
  const attempt = async (path: string, body: object): Promise<void> => {
    try {
      await call('POST', path, body);
    } catch (error) {
      if (!isRmtxError(error)) throw error;
      // There is nothing of it, or another doctor is at work and will remove it.
      const isFine = ['ERR_RMTX_RUN_NOT_FOUND', 'ERR_RMTX_CONTEXT_BUSY'].includes(error.code);
      if (!isFine) problems.push(error.message);
    }
  };
  await attempt('/v1/runs/cancel', { run_id: runId, is_forced: true });
  await attempt('/v1/runs/forget', { run_id: runId });
  await attempt('/v1/contexts/delete', { context_key: CONTEXT_KEY });
  return problems[0];
}

async function sendNothing({ host, anyDirectory }: TrialOptions): Promise<void> {
  using root = AnchoredRoot.open(anyDirectory);
  await uploadProject({
    host,
    root,
    rules: NO_RULES,
    base: undefined,
    table: EntryTable.empty,
    rescan: () => Promise.resolve(EntryTable.empty),
    snapshotOf: () => undefined,
    keptContentOf: () => undefined,
    onProgress: () => undefined,
  });
}

function startVisit(host: HostConnection, output: Buffer[]): Visit {
  let bytes = 0;
  const streams = new RunStreams({
    offsets: { stdout: 0, stderr: 0 },
    sinks: {
      onEvent: (event) => {
        if (event.type !== 'output' || event.stream !== 'stdout') return;
        bytes += event.bytes.length;
        if (bytes <= MAX_OUTPUT_BYTES) output.push(Buffer.from(event.bytes));
      },
    },
  });
  return new Visit({ host, streams, attached: undefined, onBegun: () => undefined });
}
