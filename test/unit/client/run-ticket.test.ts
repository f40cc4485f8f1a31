import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { RunTicket } from '../../../src/client/run-ticket.js';
import type { TicketDetails } from '../../../src/client/run-ticket.js';
import { EntryTable } from '../../../src/sync/entry-table.js';
import { saveEntryTable } from '../../../src/sync/entry-table-file.js';
import { parseFingerprint } from '../../../src/trust/fingerprint.js';
import { fileEntry, tableOf } from '../../support/entries.js';

const details: TicketDetails = {
  runId: 'r0123456789abcdef',
  fingerprint: parseFingerprint(`sha256:${'ab'.repeat(32)}`),
  address: '127.0.0.1:33221',
  projectRoot: '/somewhere',
  contextKey: '0'.repeat(32),
  slot: 2,
  command: ['make', '-j'],
  startedAt: '2026-01-02T03:04:05.000Z',
  hasSyncBack: true,
  allowMassDelete: false,
  rules: {
    mounts: [{ path: '.', exclude: [] }],
    ignore: ['x/**'],
    syncBack: null,
    keepOnHost: [],
    gitignore: null,
    isCaseInsensitive: false,
  },
};

class Home implements Disposable {
  readonly directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-test-'));
  readonly project = path.join(this.directory, 'projects', details.contextKey);

  get ticket(): string {
    return path.join(this.project, 'runs', details.runId);
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const table = tableOf([fileEntry('a', 'a'), fileEntry('b', 'b')]);

describe('a ticket', () => {
  test('is found by its run, with everything that it takes to come back', () => {
    using home = new Home();
    RunTicket.write(home.project, details, { table, saved: undefined });
    const found = RunTicket.find(home, details.runId);
    assert.deepEqual(found?.details, details);
    assert.deepEqual(found?.offsets, { stdout: 0, stderr: 0 });
    assert.equal(found?.loadTable()?.manifestId, table.manifestId);
    assert.equal(RunTicket.find(home, 'r9999999999999999'), undefined);
    found?.remove();
    assert.equal(RunTicket.find(home, details.runId), undefined);
    assert.deepEqual(readdirSync(path.dirname(home.ticket)), []);
  });

  test('links to a table that was saved already, unless that is another by now', () => {
    using home = new Home();
    const saved = path.join(home.directory, 'index');
    saveEntryTable(saved, table);
    RunTicket.write(home.project, details, { table, saved });
    const { ino } = statSync(saved);
    assert.equal(statSync(path.join(home.ticket, 'table')).ino, ino);
    // Whoever replaces the file leaves what is linked as it is.
    saveEntryTable(saved, EntryTable.empty);
    assert.equal(RunTicket.find(home, details.runId)?.loadTable()?.manifestId, table.manifestId);
    RunTicket.write(home.project, details, { table, saved });
    assert.equal(RunTicket.find(home, details.runId)?.loadTable()?.manifestId, table.manifestId);
  });

  test('remembers how much was shown, also of several at once, on disk after a moment', async () => {
    using home = new Home();
    const ticket = RunTicket.write(home.project, details, { table, saved: undefined });
    const onDisk = (): unknown => RunTicket.find(home, details.runId)?.offsets;
    ticket.handedOver({ stdout: 5, stderr: 0 });
    assert.deepEqual(onDisk(), { stdout: 5, stderr: 0 });
    ticket.handedOver({ stdout: 7, stderr: 0 });
    ticket.handedOver({ stdout: 7, stderr: 2 ** 40 });
    ticket[Symbol.dispose]();
    assert.deepEqual(onDisk(), { stdout: 7, stderr: 2 ** 40 });
    const again = RunTicket.find(home, details.runId);
    again?.handedOver({ stdout: 9, stderr: 2 ** 40 });
    again?.handedOver({ stdout: 10, stderr: 2 ** 40 });
    while ((onDisk() as { stdout: number }).stdout < 10)
      await new Promise((resolve) => setImmediate(resolve));
    again?.remove();
  });

  test('that another rmtx has settled does not stand in the way of the output', () => {
    using home = new Home();
    const ticket = RunTicket.write(home.project, details, { table, saved: undefined });
    rmSync(home.ticket, { recursive: true });
    ticket.handedOver({ stdout: 1, stderr: 1 });
    ticket.remove();
    assert.equal(existsSync(home.ticket), false);
  });

  test('that is damaged is none; a damaged table is not guessed at', () => {
    using home = new Home();
    RunTicket.write(home.project, details, { table, saved: undefined });
    writeFileSync(path.join(home.ticket, 'table'), 'rmtxtbl');
    assert.equal(RunTicket.find(home, details.runId)?.loadTable(), undefined);
    for (const text of [
      '',
      '{',
      '[]',
      '{"version":1}',
      JSON.stringify({ ...details, version: 9 }),
    ]) {
      writeFileSync(path.join(home.ticket, 'run.json'), text);
      assert.equal(RunTicket.find(home, details.runId), undefined, text);
    }
  });

  test('of a run that every host has forgotten goes when the next one is written', () => {
    using home = new Home();
    RunTicket.write(home.project, details, { table, saved: undefined });
    const old = Date.now() / 1000 - 9 * 24 * 3600;
    utimesSync(home.ticket, old, old);
    const next = { ...details, runId: 'rfedcba9876543210' };
    RunTicket.write(home.project, next, { table, saved: undefined });
    assert.deepEqual(readdirSync(path.dirname(home.ticket)), [next.runId]);
  });
});
