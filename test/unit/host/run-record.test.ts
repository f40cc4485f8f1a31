import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  makeRunDirectory,
  readRunRecords,
  runDirectory,
  writeRunRecord,
} from '../../../src/host/run-record.js';
import type { RunRecord } from '../../../src/host/run-record.js';
import type { ManifestId, WorkspacePath } from '../../../src/sync/entry.js';
import { temporaryDirectory } from '../../support/commands.js';
import { recordOf } from '../../support/run-records.js';

const FULL: Partial<RunRecord> = {
  state: 'waiting',
  label: 'a label',
  command: ['sh', '-c', 'line\nbreak', 'ä'.repeat(5000)],
  cwd: 'sub/dir',
  hasStdin: true,
  endedAt: new Date().toISOString(),
  exit: {
    outcome: { kind: 'signalled', exitSignal: 'SIGKILL', number: 9 },
    durationMs: 1234,
    sweptProcesses: 2,
    isOutputCut: true,
  },
  changeSet: {
    manifestId: `manifest:${'ab'.repeat(32)}` as ManifestId,
    changes: 3,
    bytes: 4,
    ignored: { count: 1, bytes: 2, largestFolder: 'node_modules' },
    problems: [{ path: 'p' as WorkspacePath, code: 'unreadable', message: 'why' }],
  },
  printed: { stdout: 5, stderr: 6 },
  keptBytes: 11,
};

const refuse = (line: string): void => assert.equal(line, undefined);

test('a record is read as it was written, full or empty', (t) => {
  const runs = temporaryDirectory(t);
  const records = [
    recordOf(FULL),
    recordOf({ slot: undefined }),
    recordOf({ state: 'lost', reason: 'why' }),
  ];
  for (const record of records) {
    makeRunDirectory(runDirectory(runs, record.id));
    writeRunRecord(runDirectory(runs, record.id), record);
  }
  const found = readRunRecords(runs, refuse);
  const byId = (a: RunRecord, b: RunRecord): number => a.id.localeCompare(b.id);
  assert.deepEqual(found.records.sort(byId), records.sort(byId));
  assert.deepEqual(found.others, []);
});

test('what cannot be read is set aside alone, and stays aside', (t) => {
  const runs = temporaryDirectory(t);
  const good = recordOf(FULL);
  makeRunDirectory(runDirectory(runs, good.id));
  writeRunRecord(runDirectory(runs, good.id), good);
  const damages = ['', '{', '[]', '{"id":"x"}', JSON.stringify({ ...FULL, id: 'other' })];
  const ids = damages.map((text) => {
    const { id } = recordOf();
    makeRunDirectory(runDirectory(runs, id));
    writeFileSync(path.join(runDirectory(runs, id), 'record.json'), text);
    return id;
  });
  mkdirSync(path.join(runs, 'not-a-run'));
  makeRunDirectory(runDirectory(runs, 'r0000000000000000'));
  for (const round of ['first', 'second']) {
    const said: string[] = [];
    const found = readRunRecords(runs, (line) => said.push(line));
    assert.deepEqual(found.records, [good], round);
    assert.deepEqual(
      new Set(found.others),
      new Set([
        ...ids.map((id) => ({ id, isDamaged: true })),
        { id: 'r0000000000000000', isDamaged: false },
      ]),
    );
    assert.equal(said.length, round === 'first' ? damages.length : 0);
  }
});
