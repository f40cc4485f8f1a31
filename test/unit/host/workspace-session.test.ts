import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { SpawnSyncOptions } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { WorkspaceSlot } from '../../../src/host/workspace-slot.js';
import { BlobStore } from '../../../src/store/blob-store.js';
import { encodeChange } from '../../../src/sync/change-codec.js';
import type { Entry } from '../../../src/sync/entry.js';
import { encodeRuleSources } from '../../../src/sync/rule-sources.js';
import { ByteWriter } from '../../../src/util/bytes.js';
import { digestOf } from '../../support/blob-places.js';
import { closedDirectoriesScript } from '../../support/closed-directories.js';
import { entriesOfTree, readTree } from '../../support/disk-tree.js';
import { fullDiskScript } from '../../support/full-disk.js';
import { killedSessionScript, killedTree } from '../../support/killed-session.js';
import { directoryEntry, fileEntry, symlinkEntry, tableOf } from '../../support/entries.js';
import { PLAIN_RULES, SlotRig, treeOf } from '../../support/slot-rig.js';

const NOBODY = 65534;

describe('a workspace session', () => {
  test('refuses a manifest that is not the one announced, and has changed nothing', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ a: 'one' }));
    await rig.run(next);
    using session = rig.open();
    session.verify();
    const other = rig.manifestOf(treeOf({ b: 'two' }));
    session.beginManifest({ fromBase: true, rules: encodeRuleSources(PLAIN_RULES) });
    assert.throws(() => session.finishManifest(other.manifestId), {
      code: 'ERR_RMTX_MANIFEST_MISMATCH',
    });
    assert.deepEqual(readdirSync(rig.workspace), ['a']);
  });

  const hostile: [string, Entry[]][] = [
    ['a file below a link', [symlinkEntry('l', '/tmp'), fileEntry('l/x', '')]],
    ['a file below a file', [fileEntry('f', ''), fileEntry('f/x', '')]],
    ['a file below nothing', [directoryEntry('d'), fileEntry('e/x', '')]],
  ];
  for (const [title, entries] of hostile)
    test(`refuses ${title} before anything is written`, () => {
      using rig = new SlotRig();
      using session = rig.open();
      session.verify();
      assert.throws(() => rig.announce(session, tableOf(entries)), {
        code: 'ERR_RMTX_BAD_MESSAGE',
      });
      assert.deepEqual(readdirSync(rig.workspace), []);
    });

  test('refuses a file that is left below a link that took the place of its directory', async () => {
    using rig = new SlotRig();
    const before = tableOf([directoryEntry('d'), directoryEntry('d/e')]);
    await rig.run(before);
    using session = rig.open();
    session.verify();
    session.beginManifest({ fromBase: true, rules: encodeRuleSources(PLAIN_RULES) });
    const writer = new ByteWriter();
    encodeChange(writer, { type: 'upsert', entry: symlinkEntry('d', '/etc') });
    session.pushManifest(writer.take());
    const after = tableOf([symlinkEntry('d', '/etc'), directoryEntry('d/e')]);
    assert.throws(() => session.finishManifest(after.manifestId), {
      code: 'ERR_RMTX_BAD_MESSAGE',
      message: /d\/e/,
    });
  });

  test('finds done what came ahead of its manifest, and asks for the rest', async () => {
    using rig = new SlotRig();
    const tree = treeOf({
      d: '/',
      'd/a': 'one',
      'd/b': 'two',
      'd/again': 'one',
      l: '-> d',
      z: 'last',
    });
    const next = rig.manifestOf(tree);
    using session = rig.open();
    assert.deepEqual(session.verify(), { manifestId: undefined, isEmpty: true });
    assert.ok(session.offerEntriesAhead([digestOf('new here')]));
    const early = new Map([...tree].filter(([at]) => at !== 'd/again' && at !== 'z'));
    early.set('d/c', { kind: 'file', bytes: 'gone since', mode: 0o644, mtimeUs: 1 });
    session.pushBlobs(Uint8Array.from(await rig.ahead(early)));
    const inode = lstatSync(rig.at('d', 'a')).ino;
    const requests = rig.announce(session, next);
    const { received } = await rig.serveCounting(session, requests);
    assert.ok(received < 100, `${received} bytes`);
    assert.deepEqual(session.materialize(), { filesWritten: 2, removed: 1 });
    assert.deepEqual(entriesOfTree(readTree(rig.workspace)), entriesOfTree(tree));
    assert.equal(lstatSync(rig.at('d', 'a')).ino, inode);
  });

  test('takes nothing ahead where there is anything of a project', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ d: '/', 'd/a': 'one' }));
    {
      using session = rig.open();
      session.verify();
      assert.ok(session.offerEntriesAhead([digestOf('new here')]));
      const data = await rig.ahead(treeOf({ d: '/', 'd/a': 'one', 'd/b': 'cut off' }));
      session.pushBlobs(Uint8Array.from(data.subarray(0, -3)));
    }
    using session = rig.open();
    assert.equal(session.verify().isEmpty, false);
    // What had come is used all the same.
    assert.equal(rig.announce(session, next).length, 0);
    session.materialize();
    assert.deepEqual(readdirSync(rig.at('d')), ['a']);
  });

  test('takes nothing ahead of which more than a quarter is here', () => {
    using rig = new SlotRig();
    const store = new BlobStore(rig.options.blobStoreDirectory);
    const sample = ['a', 'b', 'c', 'd'].map(digestOf);
    store.putBytes(digestOf('c'), Buffer.from('c'));
    using session = rig.open();
    session.verify();
    assert.equal(session.offerEntriesAhead([]), false);
    assert.equal(session.offerEntriesAhead(sample.slice(1)), false);
    assert.equal(session.offerEntriesAhead(sample), true);
  });

  test('refuses a manifest in the midst of an entry ahead', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ a: 'one' }));
    const data = Uint8Array.from(await rig.ahead(treeOf({ a: 'one' })));
    using session = rig.open();
    session.verify();
    assert.ok(session.offerEntriesAhead([digestOf('new here')]));
    session.pushBlobs(data.subarray(0, data.length - 1));
    assert.throws(() => rig.announce(session, next), { code: 'ERR_RMTX_BAD_MESSAGE' });
  });

  test('refuses what a host without regard for case cannot hold', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ Makefile: 'one', makefile: 'two' }));
    using session = rig.open();
    session.verify();
    const slot = new WorkspaceSlot(rig.options.slotDirectory, rig.workspace);
    if (slot.isCaseInsensitive())
      assert.throws(() => rig.announce(session, next), { code: 'ERR_RMTX_NAME_COLLISION' });
    else await rig.bring(session, next);
    const names = readdirSync(rig.workspace);
    assert.deepEqual(
      names.filter((name) => name.startsWith('.rmtx')),
      [],
    );
  });

  test('leaves what was sent to the next run when it is put back before the command began', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ a: 'one' }));
    {
      using session = rig.open();
      session.verify();
      await rig.serve(session, rig.announce(session, next));
      session.restore();
    }
    using session = rig.open();
    session.verify();
    assert.equal(rig.announce(session, next).length, 0);
  });

  test('removes what a crash left on its way', () => {
    using rig = new SlotRig();
    const slot = new WorkspaceSlot(rig.options.slotDirectory, rig.workspace);
    rmSync(slot.stagingDirectory, { recursive: true, force: true });
    using session = rig.open();
    session.verify();
    writeFileSync(path.join(rig.options.slotDirectory, 'staging'), '');
    session.verify();
    assert.deepEqual(readdirSync(rig.options.slotDirectory), []);
  });

  test('is exact in the next run after the host was killed at any point', async () => {
    const isLong = process.env['RMTX_LONG_TESTS'] === '1';
    for (const steps of isLong ? [1, 2, 9, 40, 75, 140] : [1, 2, 40, 140]) {
      using rig = new SlotRig();
      const child = spawn(process.execPath, [killedSessionScript, JSON.stringify(rig.options)], {
        // It has no chance to tidy up.
        env: { ...process.env, TMPDIR: rig.directory },
      });
      let said = 0;
      for await (const piece of child.stdout) {
        said += (piece as Buffer).length;
        if (said >= steps) child.kill('SIGKILL');
      }
      const tree = killedTree(steps);
      await rig.run(rig.manifestOf(tree));
      assert.deepEqual(
        entriesOfTree(readTree(rig.workspace)).map(withoutTime),
        entriesOfTree(tree).map(withoutTime),
      );
    }
  });

  test('stays recoverable when the disk is full', (context) => {
    const mountpoint = mkdtempSync(path.join(tmpdir(), 'rmtx-full-'));
    const command = 'mount -t tmpfs -o size=512k tmpfs "$1" && exec "$0" "$2" "$1"';
    const probe = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'tmpfs', mountpoint]);
    if (probe.status !== 0) {
      context.skip('no small file system can be mounted here (unshare -Urm)');
      return;
    }
    runScript('unshare', [
      '-Urm',
      'sh',
      '-c',
      command,
      process.execPath,
      mountpoint,
      fullDiskScript,
    ]);
    rmSync(mountpoint, { recursive: true });
  });

  test('works in directories and on files whose modes forbid it', (context) => {
    if (process.platform === 'win32') {
      context.skip('no modes here');
      return;
    }
    const script = [closedDirectoriesScript];
    if (process.getuid?.() !== 0) {
      runScript(process.execPath, script);
      return;
    }
    const nobody = { uid: NOBODY, gid: NOBODY, env: { ...process.env, TMPDIR: '/tmp' } };
    const look = ['-e', `fs.accessSync(${JSON.stringify(closedDirectoriesScript)})`];
    if (spawnSync(process.execPath, look, nobody).status === 0)
      runScript(process.execPath, script, nobody);
    else context.skip('run as root, in a directory that nobody else may read');
  });
});

function withoutTime(entry: Entry): Entry {
  return entry.kind === 'file' ? { ...entry, mtimeUs: 0 } : entry;
}

function runScript(command: string, args: readonly string[], options: SpawnSyncOptions = {}): void {
  const { status, stdout, stderr } = spawnSync(command, args, { ...options, encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
}
