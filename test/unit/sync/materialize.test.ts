import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { loadEntryTable } from '../../../src/sync/entry-table-file.js';
import type { Node, Tree } from '../../support/disk-tree.js';
import { readTree } from '../../support/disk-tree.js';
import {
  LONG_AGO_US,
  PLAIN_RULES,
  SlotRig,
  leaveRacyWindow,
  treeOf,
} from '../../support/slot-rig.js';
import { mtimeUsOf, nowUs } from '../../../src/util/microseconds.js';

function withNode(tree: Tree, at: string, more: Partial<Node>): Tree {
  return new Map(tree).set(at, { ...tree.get(at), ...more } as Node);
}

describe('materialize', () => {
  test('gives a cold workspace exactly the times and modes of the manifest', async () => {
    using rig = new SlotRig();
    const tree = treeOf({ bin: '/', 'bin/run': '#!/bin/sh', empty: '', link: '-> bin/run' });
    const wanted = withNode(tree, 'bin/run', { mode: 0o755, mtimeUs: LONG_AGO_US + 7 });
    using session = rig.open();
    assert.equal(session.verify().manifestId, undefined);
    assert.deepEqual(await rig.bring(session, rig.manifestOf(wanted)), {
      filesWritten: 2,
      removed: 0,
    });
    const found = readTree(rig.workspace);
    assert.deepEqual([...found.keys()].sort(), ['bin', 'bin/run', 'empty', 'link']);
    const run = found.get('bin/run');
    assert.ok(run?.kind === 'file');
    assert.deepEqual([run.mode, run.mtimeUs], [0o755, LONG_AGO_US + 7]);
    assert.equal(readlinkSync(rig.at('link')), 'bin/run');
  });

  test('copes with times before 1970 and far beyond', async () => {
    for (const mtimeUs of [
      -1,
      0,
      1,
      -1_500_000_000_000_001,
      Number.MIN_SAFE_INTEGER,
      Number.MAX_SAFE_INTEGER,
    ]) {
      using rig = new SlotRig();
      const next = rig.manifestOf(withNode(treeOf({ a: 'text' }), 'a', { mtimeUs }));
      const after = await rig.run(next);
      assert.equal(after.manifestId, next.manifestId, String(mtimeUs));
    }
  });

  test('a large file proves itself when the command starts, so that it need not be read after it', async () => {
    using rig = new SlotRig();
    using session = rig.open();
    session.verify();
    const next = rig.manifestOf(treeOf({ large: 'x'.repeat(33 * 1024 * 1024), small: 'x' }));
    await rig.bring(session, next);
    const index = loadEntryTable(path.join(rig.options.slotDirectory, 'index'));
    const signature = index?.signature(index.indexOf('large'));
    assert.equal(signature?.isRacy, false);
  });

  test('writes nothing where nothing changed: neither a file nor the index', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ a: '/', 'a/x': 'text' }));
    const base = await rig.run(next);
    await leaveRacyWindow();
    await rig.run(next, { base });
    const index = path.join(rig.options.slotDirectory, 'index');
    const before = [lstatSync(index), lstatSync(rig.at('a', 'x'))];
    await rig.run(next, { base });
    const after = [lstatSync(index), lstatSync(rig.at('a', 'x'))];
    assert.deepEqual(
      after.map((stats) => [stats.ino, stats.ctimeMs]),
      before.map((stats) => [stats.ino, stats.ctimeMs]),
    );
  });

  test('makes changed content later than all that the last run built', async () => {
    using rig = new SlotRig();
    const tree = treeOf({ 'main.c': 'one', 'other.c': 'same' });
    let builtUs = 0;
    const base = await rig.run(rig.manifestOf(tree), {
      command: () => {
        mkdirSync(rig.at('kept'));
        writeFileSync(rig.at('kept', 'main.o'), 'object');
        builtUs = mtimeUsOf(lstatSync(rig.at('kept', 'main.o')));
      },
    });
    // The client's clock is years behind.
    const next = rig.manifestOf(
      withNode(tree, 'main.c', { bytes: 'two', mtimeUs: LONG_AGO_US + 1 }),
    );
    const after = await rig.run(next, { base });
    assert.ok(mtimeUsOf(lstatSync(rig.at('main.c'))) > builtUs);
    assert.equal(mtimeUsOf(lstatSync(rig.at('other.c'))), LONG_AGO_US);
    assert.equal(
      after.manifestId,
      next.manifestId,
      "and the client's own time stays in the manifest",
    );
  });

  test('passes on a touch, but not a time that was set back', async () => {
    using rig = new SlotRig();
    const tree = treeOf({ touched: 'a', back: 'b' });
    const base = await rig.run(rig.manifestOf(tree));
    const before = lstatSync(rig.at('touched')).ino;
    const later = withNode(tree, 'touched', { mtimeUs: LONG_AGO_US + 1 });
    const startedUs = nowUs();
    await rig.run(rig.manifestOf(withNode(later, 'back', { mtimeUs: LONG_AGO_US - 1 })), { base });
    const touched = lstatSync(rig.at('touched'));
    assert.equal(touched.ino, before);
    assert.ok(mtimeUsOf(touched) > LONG_AGO_US + 1 && mtimeUsOf(touched) <= startedUs + 1e6);
    assert.equal(mtimeUsOf(lstatSync(rig.at('back'))), LONG_AGO_US);
  });

  test('moves what was renamed and copies what is there twice, without asking for it', async () => {
    using rig = new SlotRig();
    const large = 'x'.repeat(5 * 1024 * 1024);
    const base = await rig.run(rig.manifestOf(treeOf({ old: 'content', 'old.bin': large })));
    const { ino } = lstatSync(rig.at('old.bin'));
    const next = rig.manifestOf(
      treeOf({
        d: '/',
        'd/new': 'content',
        'd/new.bin': large,
        'd/twice': 'content',
        'd/two.bin': large,
      }),
    );
    using session = rig.open();
    session.verify();
    assert.equal(rig.announce(session, next, { base }).length, 0);
    session.materialize();
    assert.deepEqual(readdirSync(rig.workspace), ['d']);
    assert.equal(readFileSync(rig.at('d', 'new'), 'utf8'), 'content');
    assert.equal(readFileSync(rig.at('d', 'twice'), 'utf8'), 'content');
    assert.equal(readFileSync(rig.at('d', 'new.bin'), 'utf8'), large);
    assert.notEqual(lstatSync(rig.at('d', 'new.bin')).ino, lstatSync(rig.at('d', 'two.bin')).ino);
    assert.ok(
      [lstatSync(rig.at('d', 'new.bin')).ino, lstatSync(rig.at('d', 'two.bin')).ino].includes(ino),
    );
  });

  test('swaps two files', async () => {
    using rig = new SlotRig();
    const base = await rig.run(rig.manifestOf(treeOf({ a: 'one', b: 'two' })));
    using session = rig.open();
    session.verify();
    assert.equal(
      rig.announce(session, rig.manifestOf(treeOf({ a: 'two', b: 'one' })), { base }).length,
      0,
    );
    session.materialize();
    assert.equal(readFileSync(rig.at('a'), 'utf8'), 'two');
    assert.equal(readFileSync(rig.at('b'), 'utf8'), 'one');
  });

  test('keeps what was displaced, for a branch that is come back to', async () => {
    using rig = new SlotRig();
    const main = rig.manifestOf(treeOf({ src: '/', 'src/a': 'main a', 'src/b': 'main b' }));
    const branch = rig.manifestOf(treeOf({ src: '/', 'src/a': 'branch a' }));
    const base = await rig.run(main);
    const other = await rig.run(branch, { base });
    using session = rig.open();
    session.verify();
    assert.equal(rig.announce(session, main, { base: other }).length, 0);
    session.materialize();
    assert.equal(readFileSync(rig.at('src', 'b'), 'utf8'), 'main b');
  });

  test('takes what a crash left at the right place as it is', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ d: '/', 'd/a': 'first', 'd/b': 'second' }));
    {
      using session = rig.open();
      session.verify();
      const blobs = await rig.answer(rig.announce(session, next));
      session.pushBlobs(blobs.subarray(0, 50));
      assert.ok(existsSync(rig.at('d', 'a')));
    }
    const { ino } = lstatSync(rig.at('d', 'a'));
    using session = rig.open();
    assert.equal(session.verify().manifestId, undefined);
    const requests = rig.announce(session, next);
    await rig.serve(session, requests);
    assert.equal(session.materialize().filesWritten, 1);
    assert.equal(lstatSync(rig.at('d', 'a')).ino, ino);
    assert.equal(mtimeUsOf(lstatSync(rig.at('d', 'a'))), LONG_AGO_US);
  });

  test('starts again where the index is damaged, with what is there', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ a: 'text' }));
    await rig.run(next);
    truncateSync(path.join(rig.options.slotDirectory, 'index'), 60);
    using session = rig.open();
    assert.equal(session.verify().manifestId, undefined);
    assert.equal(rig.announce(session, next).length, 0);
    session.materialize();
  });

  test('spares what is kept, wherever it lies, and enters nothing of it', async () => {
    using rig = new SlotRig();
    const rules = {
      ...PLAIN_RULES,
      mounts: [{ path: 'pkg', exclude: [] }],
      ignore: ['pkg/build/'],
      keepOnHost: ['**/node_modules/', 'target/', 'pkg/build/cache/'],
    };
    const files = ['pkg/node_modules/x/index.js', 'target/app', 'pkg/build/cache/c'];
    const gone = ['pkg/build/out', 'elsewhere/file', 'pkg/sub/left'];
    const command = (): void => {
      for (const file of [...files, ...gone]) {
        mkdirSync(path.dirname(rig.at(file)), { recursive: true });
        writeFileSync(rig.at(file), file);
      }
    };
    const next = rig.manifestOf(treeOf({ pkg: '/', 'pkg/a': 'a', 'pkg/sub': '/' }));
    const base = await rig.run(next, { rules, command });
    for (const file of files) assert.equal(readFileSync(rig.at(file), 'utf8'), file);
    assert.deepEqual(
      [existsSync(rig.at('pkg/build/out')), existsSync(rig.at('elsewhere'))],
      [false, false],
    );
    // The directory that holds some of it leaves the project.
    await rig.run(rig.manifestOf(treeOf({})), { rules, base });
    for (const file of files) assert.equal(readFileSync(rig.at(file), 'utf8'), file);
    assert.deepEqual(readdirSync(rig.at('pkg')).sort(), ['build', 'node_modules']);
    // And becomes a file: then nothing in it can stay.
    await rig.run(rig.manifestOf(treeOf({ pkg: 'a file' })), {
      rules: { ...rules, mounts: PLAIN_RULES.mounts },
    });
    assert.equal(readFileSync(rig.at('pkg'), 'utf8'), 'a file');
  });

  test('follows no link that a command put in the place of a directory', async () => {
    using rig = new SlotRig();
    using outside = new SlotRig();
    const treasure = path.join(outside.directory, 'treasure');
    mkdirSync(treasure);
    writeFileSync(path.join(treasure, 'file'), 'untouched');
    const next = rig.manifestOf(treeOf({ d: '/', 'd/file': 'text', 'd/sub': '/', 'd/sub/x': 'x' }));
    const plant = (): void => {
      rmSync(rig.at('d'), { recursive: true });
      symlinkSync(treasure, rig.at('d'));
    };
    const base = await rig.run(next);
    {
      using session = rig.open();
      session.verify();
      await rig.bring(session, next, { base });
      plant();
      // A crash: the next run finds it.
    }
    {
      using session = rig.open();
      session.verify();
      await rig.bring(session, next, { base });
      assert.equal(readFileSync(rig.at('d', 'sub', 'x'), 'utf8'), 'x');
      plant();
      rig.collect(session);
      assert.deepEqual(rig.changes(), ['+ d', '- d/file', '- d/sub', '- d/sub/x']);
      session.restore();
      assert.ok(lstatSync(rig.at('d')).isDirectory());
    }
    assert.deepEqual(readdirSync(treasure), ['file']);
    assert.equal(readFileSync(path.join(treasure, 'file'), 'utf8'), 'untouched');
  });

  test('makes a new workspace where a command removed it or put a link in its place', async () => {
    using rig = new SlotRig();
    using outside = new SlotRig();
    const next = rig.manifestOf(treeOf({ a: 'text' }));
    const base = await rig.run(next);
    rmSync(rig.workspace, { recursive: true });
    symlinkSync(outside.directory, rig.workspace);
    await rig.run(next, { base });
    assert.ok(lstatSync(rig.workspace).isDirectory());
    assert.deepEqual(readdirSync(outside.directory), []);
  });

  test('amends a manifest when a file changed while it was sent', async () => {
    using rig = new SlotRig();
    const first = rig.manifestOf(treeOf({ gone: 'g', log: 'one', other: 'o' }));
    using session = rig.open();
    session.verify();
    const requests = rig.announce(session, first);
    session.prepare();
    rig.lose(rig.keep(Buffer.from('one')));
    assert.equal((await rig.serve(session, requests)).length, 1);
    const second = rig.manifestOf(treeOf({ log: 'two', other: 'o' }));
    const more = rig.announce(session, second, { base: first });
    await rig.serve(session, more);
    session.materialize();
    assert.deepEqual(readdirSync(rig.workspace).sort(), ['log', 'other']);
    assert.equal(readFileSync(rig.at('log'), 'utf8'), 'two');
  });

  test('names a path that this file system cannot hold', async (context) => {
    if (process.platform !== 'linux') {
      context.skip('names are counted in bytes on Linux only');
      return;
    }
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ ['é'.repeat(200)]: 'text' }));
    using session = rig.open();
    session.verify();
    await assert.rejects(rig.bring(session, next), {
      code: 'ERR_RMTX_PATH_INVALID',
      message: /^éé/,
    });
  });

  test('refuses to begin with a file whose content did not come', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(treeOf({ a: 'text' }));
    using session = rig.open();
    session.verify();
    const requests = rig.announce(session, next);
    rig.lose(rig.keep(Buffer.from('text')));
    await rig.serve(session, requests);
    assert.throws(() => session.materialize(), {
      code: 'ERR_RMTX_BLOB_MISSING',
      message: /of a did not/,
    });
  });

  test('uses the parts of a large file that did not change', async () => {
    using rig = new SlotRig();
    const parts = Array.from({ length: 8 }, (_, index) => String(index).repeat(1024 * 1024));
    const base = await rig.run(rig.manifestOf(treeOf({ 'data.bin': parts.join('') })));
    const next = rig.manifestOf(
      treeOf({ 'data.bin': [...parts.slice(0, 7), 'y'.repeat(1000)].join('') }),
    );
    using session = rig.open();
    session.verify();
    const requests = rig.announce(session, next, { base });
    session.prepare();
    const { received } = await rig.serveCounting(session, requests);
    assert.ok(received < 200_000, `${received} bytes`);
    session.materialize();
    assert.equal(lstatSync(rig.at('data.bin')).size, 7 * 1024 * 1024 + 1000);
  });
});
