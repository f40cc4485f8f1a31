import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { makeRunDirectory, runDirectory, writeRunRecord } from '../../../src/host/run-record.js';
import type { RunRecord } from '../../../src/host/run-record.js';
import { Runs } from '../../../src/host/runs.js';
import { temporaryDirectory } from '../../support/commands.js';
import { processesStart, processesWith, uniqueSeconds } from '../../support/processes.js';
import { recordOf } from '../../support/run-records.js';

const noProc = existsSync('/proc/self/cmdline') ? false : 'needs /proc';
const EXITED = {
  outcome: { kind: 'exited', code: 0 },
  durationMs: 1,
  sweptProcesses: 0,
  isOutputCut: false,
} as const;

const refuse = (line: string): void => assert.equal(line, undefined);

function keep(runs: string, fields: Partial<RunRecord>): RunRecord {
  const record = recordOf(fields);
  makeRunDirectory(runDirectory(runs, record.id));
  writeRunRecord(runDirectory(runs, record.id), record);
  return record;
}

describe('Runs, after the host was started anew', () => {
  test(
    'ends what is left of a run that was cut off, and says so for good',
    { skip: noProc },
    async (t) => {
      const directory = temporaryDirectory(t);
      const seconds = uniqueSeconds();
      const records = (['running', 'collecting'] as const).map((state) =>
        keep(directory, { state }),
      );
      for (const { id } of records) {
        writeFileSync(path.join(directory, id, 'stdout.0000000000000000'), 'said');
        const env = { PATH: process.env['PATH'], RMTX_RUN_ID: id };
        spawn('setsid', ['sleep', seconds], { env, stdio: 'ignore' });
      }
      await processesStart(seconds, 2);
      const said: string[] = [];
      for (const life of ['first', 'second']) {
        const runs = new Runs(directory, (line) => said.push(line));
        await runs.recover();
        assert.deepEqual(processesWith(seconds), []);
        for (const { id, clientId } of records) {
          const run = runs.find(id, clientId);
          assert.equal(run?.state, 'lost', life);
          assert.equal(run?.record.keptBytes, 4);
          assert.equal(run?.stdout.spool.read(0, 10).toString(), 'said');
          await assert.rejects(run?.exited ?? Promise.resolve(), { code: 'ERR_RMTX_RUN_LOST' });
        }
      }
      assert.equal(said.length, 2, said.join());
      assert.match(said[0] ?? '', /was cut off by the host's end; 1 processes ended/);
    },
  );

  test('keeps what waits and what is settled; what never began is gone', async (t) => {
    const directory = temporaryDirectory(t);
    const changeSet = {
      manifestId: `manifest:${'0'.repeat(64)}` as never,
      changes: 1,
      bytes: 0,
      ignored: undefined,
      problems: [],
    };
    const endedAt = new Date().toISOString();
    const over = { exit: EXITED, endedAt, changeSet };
    const waiting = keep(directory, { ...over, state: 'waiting' });
    const done = keep(directory, { ...over, state: 'done', printed: { stdout: 9, stderr: 0 } });
    makeRunDirectory(runDirectory(directory, 'r0000000000000000'));
    const runs = new Runs(directory, refuse);
    await runs.recover();
    assert.equal(existsSync(runDirectory(directory, 'r0000000000000000')), false);
    assert.deepEqual(await runs.find(waiting.id, 'client')?.exited, EXITED);
    assert.deepEqual(await runs.find(waiting.id, 'client')?.collected, changeSet);
    assert.equal(await runs.find(done.id, 'client')?.collected, undefined);
    assert.equal(runs.find(done.id, 'client')?.stdout.firstFrom(0), 9);
    assert.equal(runs.find(done.id, 'somebody else'), undefined);
    assert.deepEqual(
      runs.waitingIn('context').map(({ id }) => id),
      [waiting.id],
    );
    runs.find(waiting.id, 'client')?.take('applied');
    runs.find(waiting.id, 'client')?.take('discard');
    assert.deepEqual(runs.waitingIn('context'), []);
    const again = new Runs(directory, refuse);
    await again.recover();
    assert.equal(again.find(waiting.id, 'client')?.state, 'done');
  });

  test('drops what was kept long enough, but nothing that is being read', async (t) => {
    const directory = temporaryDirectory(t);
    const endedAt = new Date(Date.now() - 8 * 24 * 3600 * 1000).toISOString();
    const old = keep(directory, { state: 'done', exit: EXITED, endedAt });
    const young = keep(directory, { state: 'lost', endedAt: new Date().toISOString() });
    const damaged = ['r000000000000000a', 'r000000000000000b'];
    for (const id of damaged) {
      makeRunDirectory(runDirectory(directory, id));
      writeFileSync(path.join(directory, id, 'record.json'), '{');
    }
    const first = new Runs(directory, () => undefined);
    await first.recover();
    assert.deepEqual(new Set(readdirSync(directory)), new Set([young.id, ...damaged]));
    utimesSync(path.join(directory, damaged[0] ?? ''), 1, 1);
    await new Runs(directory, refuse).recover();
    assert.deepEqual(new Set(readdirSync(directory)), new Set([young.id, damaged[1]]));
    assert.equal(first.find(old.id, 'client'), undefined);

    const runs = new Runs(temporaryDirectory(t), refuse);
    await runs.recover();
    await runs.tidy();
    await runs.stop();
  });
});
