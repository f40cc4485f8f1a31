import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import { BlobStore } from '../../../src/store/blob-store.js';
import type { ChangeSetSummary } from '../../../src/host/workspace-session.js';
import { EntryTableBuilder } from '../../../src/sync/entry-table-builder.js';
import { loadEntryTable, saveEntryTable } from '../../../src/sync/entry-table-file.js';
import type { RuleSources } from '../../../src/sync/rule-sources.js';
import { toUtimesSeconds } from '../../../src/util/microseconds.js';
import {
  LONG_AGO_US,
  PLAIN_RULES,
  SlotRig,
  applyChanges,
  decodeChanges,
  leaveRacyWindow,
  prepared,
  treeOf,
} from '../../support/slot-rig.js';

describe('capture', () => {
  test('finds nothing where nothing changed, and reads nothing', async () => {
    using rig = new SlotRig();
    const { session: first } = await prepared(rig, { a: '/', 'a/b': 'text' });
    // Written right before, so this one time it has to be read.
    rig.collect(first);
    first.acknowledge();
    // An index that lies about the content: whoever reads it finds out.
    const index = path.join(rig.options.slotDirectory, 'index');
    const table = loadEntryTable(index);
    assert.ok(table);
    const builder = new EntryTableBuilder();
    for (let row = 0; row < table.length; row++) {
      const entry = table.entry(row);
      const digest = toDigest(hashBytes(Buffer.from('lie')));
      builder.add(entry.kind === 'file' ? { ...entry, digest } : entry, table.signature(row));
    }
    const lie = builder.build();
    saveEntryTable(index, lie);
    using session = rig.open();
    assert.equal(session.verify().manifestId, lie.manifestId);
    await rig.bring(session, lie, { base: lie });
    assert.equal(rig.collect(session).changes, 0);
    assert.equal(lstatSync(rig.changeSetFile).size, 0);
  });

  const edits: [string, (rig: SlotRig) => void, string[]][] = [
    ['a mode alone', (rig) => chmodSync(rig.at('a'), 0o755), ['+ a']],
    ['a time alone', (rig) => utimesSync(rig.at('a'), 5, 5), ['+ a']],
    [
      'other bytes of the same length under the same time',
      (rig) => {
        writeFileSync(rig.at('a'), 'ONE');
        utimesSync(rig.at('a'), toUtimesSeconds(LONG_AGO_US), toUtimesSeconds(LONG_AGO_US));
      },
      ['+ a'],
    ],
    [
      'a file that was put in the place of another, with its time',
      (rig) => {
        writeFileSync(rig.at('d', 'new'), 'ONE');
        utimesSync(rig.at('d', 'new'), toUtimesSeconds(LONG_AGO_US), toUtimesSeconds(LONG_AGO_US));
        renameSync(rig.at('d', 'new'), rig.at('a'));
      },
      ['+ a'],
    ],
    ['a rename', (rig) => renameSync(rig.at('a'), rig.at('d', 'moved')), ['- a', '+ d/moved']],
    ['a deletion', (rig) => unlinkSync(rig.at('d', 'x')), ['- d/x']],
    ['a deleted directory', (rig) => rmSync(rig.at('d'), { recursive: true }), ['- d', '- d/x']],
    ['an empty directory', (rig) => mkdirSync(rig.at('e')), ['+ e']],
    ['the mode of a directory', (rig) => chmodSync(rig.at('d'), 0o700), ['+ d']],
    [
      'another target of a link',
      (rig) => {
        unlinkSync(rig.at('l'));
        symlinkSync('b', rig.at('l'));
      },
      ['+ l'],
    ],
    [
      'a directory in the place of a file',
      (rig) => {
        unlinkSync(rig.at('a'));
        mkdirSync(rig.at('a'));
        writeFileSync(rig.at('a', 'in'), '');
      },
      ['+ a', '+ a/in'],
    ],
    [
      'nothing, when a file was changed and changed back',
      (rig) => {
        chmodSync(rig.at('a'), 0o755);
        chmodSync(rig.at('a'), 0o644);
      },
      [],
    ],
  ];
  for (const [title, edit, changes] of edits)
    test(`finds ${title}`, async () => {
      using rig = new SlotRig();
      const { session, next } = await prepared(rig, { a: 'one', d: '/', 'd/x': 'x', l: '-> a' });
      edit(rig);
      const summary = rig.collect(session);
      assert.deepEqual(rig.changes(), changes);
      assert.equal(summary.changes, changes.length);
      assert.equal(summary.deletions, changes.filter((change) => change.startsWith('-')).length);
      const merged = applyChanges(next, readFileSync(rig.changeSetFile));
      assert.equal(merged.manifestId, summary.manifestId);
      session.acknowledge();
      using again = rig.open();
      assert.equal(again.verify().manifestId, summary.manifestId);
    });

  test('keeps the content of what changed when the workspace goes on', async () => {
    using rig = new SlotRig();
    const { session } = await prepared(rig, { a: 'one' });
    writeFileSync(rig.at('a'), 'result');
    writeFileSync(rig.at('large'), 'x'.repeat(5_000_000));
    const { bytes } = rig.collect(session);
    assert.equal(bytes, 5_000_006);
    session.restore();
    assert.equal(existsSync(rig.at('large')), false);
    assert.equal(existsSync(rig.at('a')), false, 'its old content is nowhere');
    const store = new BlobStore(rig.options.blobStoreDirectory);
    for (const change of decodeChanges(readFileSync(rig.changeSetFile))) {
      assert.ok(change.type === 'upsert' && change.entry.kind === 'file');
      const fd = store.open(change.entry.digest);
      assert.ok(fd !== undefined);
      closeSync(fd);
    }
  });

  test("tells times that this host's clock made in the client's, and others as they are", async () => {
    using rig = new SlotRig();
    const { session } = await prepared(rig, { a: 'one', kept: '/' });
    writeFileSync(rig.at('old'), '');
    utimesSync(rig.at('old'), 1000, 1000);
    writeFileSync(rig.at('new'), '');
    utimesSync(rig.at('new'), 3000, 3000);
    chmodSync(rig.at('a'), 0o600);
    rig.collect(session, { startedUs: 2_000_000_000, clockOffsetUs: 5.4 });
    const times = decodeChanges(readFileSync(rig.changeSetFile)).map((change) =>
      change.type === 'upsert' && change.entry.kind === 'file'
        ? [change.entry.path, change.entry.mtimeUs]
        : [],
    );
    assert.deepEqual(times, [
      ['a', LONG_AGO_US],
      ['new', 2_999_999_995],
      ['old', 1_000_000_000],
    ]);
  });

  test('says what it cannot send, and has it removed', async () => {
    using rig = new SlotRig();
    const { session, next } = await prepared(rig, { a: 'one', b: 'two' });
    unlinkSync(rig.at('a'));
    execFileSync('mkfifo', [rig.at('a'), rig.at('pipe')]);
    const server = net.createServer().listen(rig.at('socket'));
    const summary = rig.collect(session);
    server.close();
    assert.deepEqual(
      summary.problems.map(({ path: at, code }) => [at, code]),
      [
        ['a', 'special-file'],
        ['pipe', 'special-file'],
        ['socket', 'special-file'],
      ],
    );
    assert.equal(summary.manifestId, next.manifestId);
    session.acknowledge();
    assert.deepEqual([existsSync(rig.at('pipe')), existsSync(rig.at('a'))], [false, false]);
    using again = rig.open();
    again.verify();
    assert.ok(rig.announce(again, next, { base: next }).length > 0, 'a is asked for again');
  });

  test('survives directories in directories beyond all limits', async () => {
    using rig = new SlotRig();
    const { session, next } = await prepared(rig, { a: 'one', d: '/' });
    // Beyond the length of a path, of a record of the change set, and the usual number of open files. The
    // cost grows with the square of it.
    const depth = process.env['RMTX_LONG_TESTS'] === '1' ? 3000 : 1200;
    const program = `
      const { mkdirSync, writeFileSync } = require('node:fs');
      for (let depth = 0; depth < ${depth}; depth++) {
        mkdirSync('deeply-nested');
        process.chdir('deeply-nested');
        if (depth % 500 === 0) writeFileSync('file', 'text');
      }`;
    execFileSync(process.execPath, ['-e', program], { cwd: rig.at('d') });
    const { problems } = rig.collect(session);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['refused'],
    );
    const merged = applyChanges(next, readFileSync(rig.changeSetFile));
    assert.ok(merged.length > 250 && merged.length < depth, `${merged.length}`);
    session.acknowledge();
    session[Symbol.dispose]();
    // The client does not want it.
    await rig.run(next, { base: merged });
    assert.deepEqual(readdirSync(rig.at('d')), []);
    assert.deepEqual(readdirSync(rig.workspace).sort(), ['a', 'd']);
  });

  test('makes a file of its own of each name that a file has', async () => {
    using rig = new SlotRig();
    const { session } = await prepared(rig, { a: 'one' });
    linkSync(rig.at('a'), rig.at('b'));
    linkSync(rig.at('a'), rig.at('c'));
    rig.collect(session);
    assert.deepEqual(rig.changes(), ['+ b', '+ c']);
    session.acknowledge();
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => lstatSync(rig.at(name)).nlink),
      [1, 1, 1],
    );
  });

  describe('by the rules', () => {
    async function collected(
      rules: Partial<RuleSources>,
      edit: (rig: SlotRig) => void,
      check: (rig: SlotRig, summary: ChangeSetSummary) => void,
    ): Promise<void> {
      using rig = new SlotRig();
      const { session } = await prepared(
        rig,
        { src: '/', 'src/a': 'one', 'src/b': 'two' },
        { ...PLAIN_RULES, ...rules },
      );
      edit(rig);
      const summary = rig.collect(session);
      session.acknowledge();
      check(rig, summary);
    }

    function write(rig: SlotRig, at: string, text = at): void {
      mkdirSync(path.dirname(rig.at(at)), { recursive: true });
      writeFileSync(rig.at(at), text);
    }

    test('sends nothing of what is ignored or kept, counts the one and spares the other', async () => {
      await collected(
        { ignore: ['dist/', '*.log'], keepOnHost: ['target/'] },
        (rig) => {
          for (const at of ['dist/a', 'dist/sub/b', 'run.log', 'target/app', 'out'])
            write(rig, at, 'four');
        },
        (rig, { ignored }) => {
          assert.deepEqual(rig.changes(), ['+ out']);
          assert.deepEqual(ignored, { count: 3, bytes: 12, largestFolder: 'dist' });
          assert.deepEqual(
            ['dist', 'run.log', 'target/app', 'out'].map((at) => existsSync(rig.at(at))),
            [false, false, true, true],
          );
        },
      );
    });

    test('puts back what was changed outside sync_back, and sends what it names', async () => {
      await collected(
        { syncBack: ['coverage/', 'src/b'], ignore: ['coverage/'] },
        (rig) => {
          write(rig, 'src/a', 'changed');
          write(rig, 'src/b', 'changed');
          write(rig, 'src/c', 'new');
          write(rig, 'coverage/report/index.html');
        },
        (rig) => {
          assert.deepEqual(rig.changes(), [
            '+ coverage',
            '+ coverage/report',
            '+ coverage/report/index.html',
            '+ src/b',
          ]);
          assert.equal(existsSync(rig.at('src/a')), false, 'the next run asks for it');
          assert.equal(existsSync(rig.at('src/c')), false);
          // It is in no manifest, so the next run does not start with it.
          assert.equal(existsSync(rig.at('coverage')), false);
        },
      );
    });

    test('fetches what sync_back names out of a kept directory, and leaves the rest in it', async () => {
      await collected(
        { syncBack: ['target/release/app'], keepOnHost: ['target/'] },
        (rig) => {
          write(rig, 'target/release/app');
          write(rig, 'target/release/deps/x.rlib');
        },
        (rig) => {
          assert.deepEqual(rig.changes(), ['+ target', '+ target/release', '+ target/release/app']);
          assert.ok(existsSync(rig.at('target/release/deps/x.rlib')));
        },
      );
    });

    test('sends it again without reading it when the next run did not touch it', async () => {
      using rig = new SlotRig();
      const rules = { ...PLAIN_RULES, syncBack: ['target/app'], keepOnHost: ['target/'] };
      const next = rig.manifestOf(treeOf({ a: 'one' }));
      const base = await rig.run(next, { rules, command: () => write(rig, 'target/app', 'app') });
      await leaveRacyWindow();
      // The client ignores target/, so it takes it out of the manifest; the directory is kept here.
      await rig.run(next, { rules, base });
      assert.deepEqual(rig.changes(), ['+ target', '+ target/app']);
      assert.equal(readFileSync(rig.at('target/app'), 'utf8'), 'app');
    });

    test('obeys a .gitignore that the run wrote, in its directory and below', async () => {
      await collected(
        { gitignore: [] },
        (rig) => {
          write(rig, 'gen/.gitignore', '*.tmp\n/cache\n');
          for (const at of ['gen/!a.tmp', 'gen/a.c', 'gen/sub/b.tmp', 'gen/cache/c', 'src/d.tmp'])
            write(rig, at);
          write(rig, 'src/.gitignore', 'e\n');
          write(rig, 'src/e');
        },
        (rig, { ignored }) => {
          assert.deepEqual(rig.changes(), [
            '+ gen',
            '+ gen/.gitignore',
            '+ gen/a.c',
            '+ gen/sub',
            '+ src/.gitignore',
            '+ src/d.tmp',
          ]);
          assert.equal(ignored?.count, 4);
        },
      );
    });

    test('sends what became of a file that the run made .gitignore name, as git tracks it on', async () => {
      for (const keepOnHost of [[], [':gitignored']]) {
        await collected(
          { gitignore: [], keepOnHost },
          (rig) => {
            write(rig, '.gitignore', '/src/\n');
            write(rig, 'src/a', 'changed');
            rmSync(rig.at('src/b'));
            write(rig, 'src/new');
          },
          (rig) => {
            assert.deepEqual(rig.changes(), ['+ .gitignore', '+ src/a', '- src/b']);
            assert.equal(existsSync(rig.at('src/new')), keepOnHost.length > 0);
          },
        );
      }
    });

    test('never sends .git, nor what is outside the mounts', async () => {
      await collected(
        { mounts: [{ path: 'src', exclude: ['*.o'] }] },
        (rig) => {
          for (const at of ['src/.git/hooks/pre-commit', 'other/x', 'src/a.o', 'src/new'])
            write(rig, at);
        },
        (rig) => {
          assert.deepEqual(rig.changes(), ['+ src/new']);
          assert.deepEqual(
            [existsSync(rig.at('src/.git')), existsSync(rig.at('other'))],
            [false, false],
          );
        },
      );
    });

    test('keeps a directory whose other content may not be deleted', async () => {
      await collected(
        { syncBack: ['src/a', 'src/b'] },
        (rig) => rmSync(rig.at('src'), { recursive: true }),
        (rig) => {
          assert.deepEqual(rig.changes(), ['- src/a', '- src/b']);
          assert.ok(lstatSync(rig.at('src')).isDirectory());
        },
      );
    });
  });

  test('sends nothing where nothing is wanted, and puts the workspace back', async () => {
    using rig = new SlotRig();
    const { session, next } = await prepared(rig, { a: 'one', b: 'one' });
    writeFileSync(rig.at('a'), 'two');
    writeFileSync(rig.at('new'), '');
    const summary = rig.collect(session, { wantsSyncBack: false });
    assert.equal(summary.changes, 0);
    assert.equal(summary.manifestId, next.manifestId);
    assert.equal(summary.ignored, undefined);
    session.acknowledge();
    assert.equal(readFileSync(rig.at('a'), 'utf8'), 'one', 'out of its twin');
    assert.equal(existsSync(rig.at('new')), false);
  });
});
