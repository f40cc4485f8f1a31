import { newRecord } from '../../src/host/run-record.js';
import type { RunRecord } from '../../src/host/run-record.js';
import { randomRunId } from './lying-client.js';

/** A record of a run that was opened and no more, but for these fields. */
export function recordOf(fields: Partial<RunRecord> = {}): RunRecord {
  const origin = {
    id: randomRunId(),
    clientId: 'client',
    contextId: 'context',
    contextName: 'name',
    label: '',
  };
  return { ...newRecord(origin), command: ['true'], wantsSyncBack: true, slot: 0, ...fields };
}
