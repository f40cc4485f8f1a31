import type { RunRecord } from '../../src/host/run-record.js';
import { randomRunId } from './lying-client.js';

/** A record of a run that was opened and no more, but for these fields. */
export function recordOf(fields: Partial<RunRecord> = {}): RunRecord {
  return {
    id: randomRunId(),
    clientId: 'client',
    contextId: 'context',
    contextName: 'name',
    label: '',
    command: ['true'],
    cwd: '',
    hasTerminal: false,
    hasStdin: false,
    wantsSyncBack: true,
    slot: 0,
    startedAt: new Date().toISOString(),
    endedAt: undefined,
    state: 'preparing',
    exit: undefined,
    changeSet: undefined,
    printed: undefined,
    keptBytes: 0,
    reason: undefined,
    ...fields,
  };
}
