import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { loadEntryTable } from '../../../src/sync/entry-table-file.js';
import type { EntryTable } from '../../../src/sync/entry-table.js';
import { WorkspaceFiles } from '../../../src/sync/workspace-files.js';
import { scanWorkspace, verifyWorkspace } from '../../../src/sync/workspace-scan.js';
import { pathFromBytes, toFsPath } from '../../../src/util/path-bytes.js';
import { AnchoredRoot } from '../../../src/util/safe-path.js';
import { directoryEntry, fileEntry, symlinkEntry, tableOf } from '../../support/entries.js';
import { SlotRig, leaveRacyWindow, treeOf } from '../../support/slot-rig.js';

const scratch = mkdtempSync(path.join(tmpdir(), 'rmtx-scan-'));
after(() => rmSync(scratch, { recursive: true }));

/** A directory with these files in it. */
function directoryWith(name: string, files: readonly string[]): WorkspaceFiles {
  const root = path.join(scratch, name);
  for (const file of files) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(toFsPath(path.join(root, file)), file);
  }
  return new WorkspaceFiles(AnchoredRoot.open(root));
}

describe('scanWorkspace', () => {
  test('reports in walk order what no signature proves, and enters nothing that no row has', () => {
    const raw = pathFromBytes(Buffer.from([0x7a, 0xff]));
    const files = directoryWith('order', ['a/x', 'a.b', 'new/deep/file', raw, 'ü']);
    const table = tableOf([
      directoryEntry('a', lstatSync(path.join(scratch, 'order', 'a')).mode & 0o777),
      fileEntry('a/x', 'a/x'),
      fileEntry('a/y', ''),
      fileEntry('ü', 'ü'),
    ]);
    const { findings, missing, unreadable } = scanWorkspace(files, table);
    assert.deepEqual(
      findings.map(({ path: found, row }) => [found, row]),
      [
        ['a/x', 1],
        ['a.b', -1],
        ['new', -1],
        [raw, -1],
        ['ü', 3],
      ],
    );
    assert.deepEqual([missing, unreadable], [[2], []]);
  });

  test('reports what was in a directory as missing when something else took its place', () => {
    const files = directoryWith('swapped', ['z']);
    symlinkSync('/', path.join(scratch, 'swapped', 'd'));
    const table = tableOf([
      directoryEntry('d'),
      directoryEntry('d/etc'),
      symlinkEntry('d/tmp', 'x'),
    ]);
    const { findings, missing } = scanWorkspace(files, table);
    assert.deepEqual(
      findings.map((finding) => finding.path),
      ['d', 'z'],
    );
    assert.deepEqual(missing, [1, 2]);
  });

  test('gives a directory that had to be opened its mode back', () => {
    const files = directoryWith('closed', ['d/x']);
    const directory = path.join(scratch, 'closed', 'd');
    chmodSync(directory, 0o200);
    const table = tableOf([directoryEntry('d', 0o200), fileEntry('d/x', 'd/x')]);
    const { findings } = scanWorkspace(files, table);
    assert.deepEqual(
      findings.map((finding) => finding.path),
      ['d/x'],
    );
    assert.equal(lstatSync(directory).mode & 0o777, 0o200);
    chmodSync(directory, 0o700);
  });

  test('takes for deleted nothing that it only cannot see', async () => {
    using rig = new SlotRig();
    // Each name is allowed and the path is one that a manifest may have, but no system call takes it whole.
    const names = Array.from({ length: 20 }, (_, index) => String(index).padStart(203, 'n'));
    const directories = names.map((_, index) => names.slice(0, index + 1).join('/'));
    const deep = Object.fromEntries(directories.map((at) => [at, '/']));
    const next = rig.manifestOf(treeOf({ ...deep, [`${directories.at(-1) ?? ''}/file`]: 'text' }));
    using session = rig.open();
    session.verify();
    await rig.bring(session, next);
    const summary = rig.collect(session);
    assert.equal(summary.changes, 0);
    assert.deepEqual(new Set(summary.problems.map(({ code }) => code)), new Set(['unreadable']));
    session.acknowledge();
    session[Symbol.dispose]();
    // And it can be removed again.
    await rig.run(rig.manifestOf(treeOf({})), { base: next });
    assert.deepEqual(readdirSync(rig.workspace), []);
  });
});

describe('verifyWorkspace', () => {
  test('hands back the very index where everything is as it was', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ d: '/', 'd/x': 'x', l: '-> d' }));
    {
      using session = rig.open();
      session.verify();
      await rig.bring(session, next);
      await leaveRacyWindow();
      rig.collect(session);
      session.acknowledge();
    }
    const index = indexOf(rig);
    const files = new WorkspaceFiles(AnchoredRoot.open(rig.workspace));
    assert.equal(verifyWorkspace(files, index).table, index);
    rmSync(rig.at('d'), { recursive: true });
    writeFileSync(rig.at('l2'), '');
    const { table, strangers } = verifyWorkspace(files, index);
    assert.deepEqual(
      [0, 1, 2].map((row) => table.hasSignature(row)),
      [false, false, true],
    );
    assert.deepEqual(strangers, ['l2']);
  });
});

function indexOf(rig: SlotRig): EntryTable {
  const table = loadEntryTable(path.join(rig.options.slotDirectory, 'index'));
  assert.ok(table);
  return table;
}
