/** A paired host whose change set lies: what must not be written is not, and the rest is as it was. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CHANNEL } from '../../src/protocol/messages.js';
import type { ManifestChange } from '../../src/sync/entry.js';
import { pathFromBytes } from '../../src/util/path-bytes.js';
import { directoryEntry, symlinkEntry } from '../support/entries.js';
import { assertFailed, contents, jsonLines, startExec, verbose } from '../support/lied-to.js';
import { deletion, file, rawFile, upsert } from '../support/lying-changes.js';
import { LyingHost, recordsOf } from '../support/lying-host.js';
import { peakMemory } from '../support/memory.js';
import { Rig } from '../support/rig.js';

describe('a change set', () => {
  const broken: Record<string, Uint8Array> = {
    'a path out of the project': recordsOf([file('../x')]),
    'an absolute path': recordsOf([file('/tmp/rmtx-evil')]),
    'a path with .. inside': recordsOf([file('a/../../x')]),
    'an empty path': recordsOf([file('')]),
    'a dot': recordsOf([file('.')]),
    'an empty name': recordsOf([file('a//b')]),
    'a NUL': recordsOf([file('a\0b')]),
    'a name over 255 bytes': recordsOf([file('n'.repeat(256))]),
    'a path over 4096 bytes': recordsOf([file(`${'n/'.repeat(2100)}n`)]),
    'a depth of ten thousand': recordsOf([file(`${'n/'.repeat(10_000)}n`)]),
    'paths out of order': recordsOf([file('b'), file('a')]),
    'a path twice': recordsOf([file('a'), file('a')]),
    'a path deleted and made': recordsOf([deletion('a'), file('a')]),
    'a set-uid mode': rawFile('a', { mode: 0o4755 }),
    'a time beyond counting': rawFile('a', { time: Number.MAX_SAFE_INTEGER }),
    'a number of eleven bytes': Buffer.concat([Buffer.of(14, 1, 1, 0x61), Buffer.alloc(11, 0x80)]),
    'a link to nothing': Buffer.of(5, 3, 1, 0x61, 0),
    'a link with a NUL': recordsOf([upsert(symlinkEntry('a', 'x\0y'))]),
    'an unknown kind': Buffer.of(3, 9, 1, 0x61),
    'a record of no length': Buffer.of(0),
    'a record without an end': Buffer.of(0xff, 0xff, 0xff, 0xff),
    'half a record': recordsOf([file('abc')]).subarray(0, 9),
    'a record longer than its fields': Buffer.of(4, 0, 1, 0x61, 0),
    'a good change before a bad one': recordsOf([file('a'), file('b/../c')]),
  };

  test(`that no working host sends changes nothing (${Object.keys(broken).length} ways)`, async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ kept: 'k' });
    for (const [name, records] of Object.entries(broken)) {
      host.serve(async (visit) => {
        await visit.untilExited();
        visit.announce(1);
        await visit.sendRecords(records);
        await visit.serveBlobs(['evil']);
        await visit.fallSilent();
      });
      assertFailed(await project.exec(['true'], verbose), 'ERR_RMTX_BAD_MESSAGE', name);
      assert.deepEqual(contents(project), { kept: 'k' }, name);
    }
    assert.equal(existsSync(path.join(project.root, '..', 'x')), false);
    assert.equal(existsSync('/tmp/rmtx-evil'), false);
  });

  test('with paths that no host may write: those are left out and told, the rest comes home', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const mine = {
      '.git/HEAD': 'ref',
      'in/a': '1',
      'in/f': 'a file',
      'in/gone/x': 'x',
      'in/ignored/secret': 's',
      'out/o': 'o',
    };
    const config = {
      mounts: [{ path: 'in' }],
      ignore: ['.git/**', 'in/ignored/'],
      keep_on_host: ['in/kept/'],
    };
    const project = host.project(mine, config);
    const refused = [
      file('.GIT/config'),
      deletion('.git/HEAD'),
      file('.git/hooks/pre-commit'),
      file('.rmtx.json'),
      file('.rmtx.local.json'),
      file('in/.Git/config'),
      file('in/.rmtx-stage-r1/0'),
      file('in/.g\u200cit/config'),
      upsert(symlinkEntry('in/abs', '/etc/passwd')),
      file('in/f/below-a-file'),
      file('in/gone/x/below-a-deleted-file'),
      deletion('in/ignored/secret'),
      file('in/ignored/x'),
      file('in/kept/x'),
      upsert(symlinkEntry('in/link-out', '../../x')),
      file('in/new-file/below'),
      file('in/new-link/below'),
      deletion('in/never-sent'),
      deletion('out/o'),
      file('out/x'),
      file('rmtx.json'),
    ];
    const good = [
      file('in/b', 'good'),
      deletion('in/gone'),
      deletion('in/gone/x'),
      file('in/new-file', 'good'),
      upsert(symlinkEntry('in/new-link', 'f')),
    ];
    const at = (change: ManifestChange): string =>
      change.type === 'upsert' ? change.entry.path : change.path;
    const walk = (change: ManifestChange): string => at(change).replaceAll('/', '\0');
    const changes = [...refused, ...good].sort((a, b) => (walk(a) < walk(b) ? -1 : 1));
    host.serve(async (visit) => {
      await visit.untilExited();
      await visit.offer(changes, ['evil', 'good']);
    });
    const result = await project.exec(['true'], { flags: ['--json'] });
    assert.equal(result.code, 122, result.text);
    const problems = jsonLines(result)
      .filter((line) => line['type'] === 'problem')
      .map((line) => line['path']);
    assert.deepEqual(problems, changes.filter((change) => refused.includes(change)).map(at));
    const { 'in/gone/x': _, ...kept } = mine;
    assert.deepEqual(contents(project), {
      ...kept,
      'in/b': 'good',
      'in/new-file': 'good',
      'in/new-link': '->',
    });
  });

  test('with a link in one run and a file through it in the next: the file is refused', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ 'dir/a': '1', 'other/b': '2' });
    const runs: ManifestChange[][] = [
      [upsert(symlinkEntry('link', 'other'))],
      [file('link/b'), file('link/new')],
      [deletion('link/b')],
      // The directory is said to be a link now, and what is in it written through it.
      [deletion('dir/a'), file('dir/through')],
    ];
    runs[3]?.unshift(upsert(symlinkEntry('dir', 'other')));
    for (const changes of runs) {
      host.serve(async (visit) => {
        await visit.untilExited();
        await visit.offer(changes, ['evil']);
      });
      await project.exec(['true']);
    }
    assert.deepEqual(contents(project), { 'other/b': '2', dir: '->', link: '->' });
  });

  test('with deletions of nearly everything is held back', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const mine = Object.fromEntries(
      Array.from({ length: 40 }, (_, index) => [`f${String(index).padStart(2, '0')}`, 'x']),
    );
    const project = host.project(mine);
    host.serve(async (visit) => {
      await visit.untilExited();
      await visit.offer(Object.keys(mine).map(deletion));
    });
    const result = await project.exec(['true']);
    assert.equal(result.code, 122, result.stderr);
    assert.match(result.stderr, /--allow-mass-delete/);
    assert.deepEqual(contents(project), mine);
  });

  test('with names that no file system takes ends with a reason, and changes nothing', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const long = 'ü'.repeat(200);
    const deep = Array.from({ length: 15 }, () => 'd'.repeat(250)).join('/');
    const sets: ManifestChange[][] = [
      [file(long)],
      [deletion(long)],
      [upsert(directoryEntry(long))],
      [upsert(directoryEntry(long)), file(`${long}/x`)],
      [upsert(symlinkEntry('link', 'ü'.repeat(2000)))],
      [upsert(symlinkEntry(long, 'x'))],
      [file(`${deep}/x`)],
      [file(pathFromBytes(Buffer.from('raw-\xff\xfe', 'latin1')))],
    ];
    for (const changes of sets) {
      const project = host.project({ kept: 'k' });
      host.serve(async (visit) => {
        await visit.untilExited();
        await visit.offer(changes, ['evil']);
      });
      const result = await project.exec(['true'], verbose);
      assert.doesNotMatch(result.stderr, /this is a bug/);
      assert.ok([0, 122, 125].includes(result.code ?? -1), result.stderr);
      if (result.code !== 0) assert.deepEqual(contents(project), { kept: 'k' });
    }
  });

  test('of a million changes, and one without an end, cost a bounded amount of memory', async () => {
    await using rig = new Rig();
    await using host = await LyingHost.start(rig);
    const project = host.project({ kept: 'k' });
    const deletions = (from: number): ManifestChange[] =>
      Array.from({ length: 10_000 }, (_, index) => deletion(`n${1e7 + from + index}`));
    host.serve(async (visit) => {
      await visit.untilExited();
      visit.announce(1e6);
      const channel = visit.connection.openSend(CHANNEL.changes);
      for (let sent = 0; sent < 1e6; sent += 10_000)
        await channel.write(recordsOf(deletions(sent)));
      channel.end();
      await visit.serveBlobs([]);
      await visit.expect('applied');
      visit.say({ type: 'acknowledged' });
    });
    const million = await peakMemory(startExec(project));
    assert.equal(million.result.code, 122, million.result.stderr);
    assert.ok(million.peakMb < 900, `${million.peakMb} MB`);

    // A real path each time, long: the most memory for a byte on the wire is not to be had either.
    host.serve(async (visit) => {
      await visit.untilExited();
      visit.announce(Number.MAX_SAFE_INTEGER);
      const channel = visit.connection.openSend(CHANNEL.changes);
      const long = `${'d'.repeat(250)}/`.repeat(15);
      for (let sent = 1e9; ; sent += 100)
        await channel.write(
          recordsOf(Array.from({ length: 100 }, (_, index) => deletion(`${long}${sent + index}`))),
        );
    });
    const endless = await peakMemory(startExec(project));
    assertFailed(endless.result, 'ERR_RMTX_BAD_MESSAGE', 'endless');
    assert.ok(endless.peakMb < 900, `${endless.peakMb} MB`);
    assert.deepEqual(contents(project), { kept: 'k' });
  });
});
