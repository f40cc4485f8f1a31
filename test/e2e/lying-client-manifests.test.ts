/** A paired client whose manifest or rules lie: refused with a reason, or taken without harm. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { CHANNEL, MAX_SAMPLE, roundChannels } from '../../src/protocol/messages.js';
import { encodeChange } from '../../src/sync/change-codec.js';
import type { Entry, ManifestId } from '../../src/sync/entry.js';
import { ByteWriter } from '../../src/util/bytes.js';
import { digestOf } from '../support/blob-places.js';
import { directoryEntry, fileEntry, symlinkEntry } from '../support/entries.js';
import { EVERYTHING, recordOf } from '../support/lying-client.js';
import { NO_MANIFEST, file, manifestIdOf, ordered, upserts } from '../support/lying-entries.js';
import { Scene, assertRefused, upload } from '../support/lying-scene.js';
import type { Lie } from '../support/lying-scene.js';
import { memoryOf } from '../support/memory.js';

const EMPTY = manifestIdOf([]);
const deletion = (name: string): Buffer => {
  const writer = new ByteWriter();
  encodeChange(writer, { type: 'delete', path: name as Entry['path'] });
  return Buffer.from(writer.view());
};

describe('a manifest', () => {
  const sent =
    (records: Uint8Array, id: ManifestId = NO_MANIFEST): Lie =>
    async (run) => {
      await run.open();
      run.sendRules();
      run.sendManifest(records, { id });
    };
  /** With the right id, so that nothing but what is wrong with it is in the way. */
  const entries = (...wrong: Entry[]): Lie => sent(upserts(...wrong), manifestIdOf(wrong));

  test('that is none is refused, and nothing of it reaches the disk', async () => {
    await using scene = await Scene.create();
    await assertRefused(scene, {
      'a path out of the workspace': ['BAD_MESSAGE', sent(upserts(file('../x')))],
      'an absolute path': ['BAD_MESSAGE', sent(upserts(file('/tmp/rmtx-evil')))],
      'a path with .. inside': ['BAD_MESSAGE', sent(upserts(file('a/../../x')))],
      'an empty path': ['BAD_MESSAGE', sent(upserts(file('')))],
      'a dot': ['BAD_MESSAGE', sent(upserts(file('.')))],
      'a NUL': ['BAD_MESSAGE', sent(upserts(file('a\0b')))],
      'a name over 255 bytes': ['BAD_MESSAGE', sent(upserts(file('n'.repeat(256))))],
      'paths out of order': ['BAD_MESSAGE', sent(upserts(file('b'), file('a')))],
      'a path twice': ['BAD_MESSAGE', sent(upserts(file('a'), file('a')))],
      'half a record': ['BAD_MESSAGE', sent(upserts(file('abc')).subarray(0, 9))],
      'a record without an end': ['BAD_MESSAGE', sent(Buffer.alloc(20, 0xff))],
      'a file below a file': ['BAD_MESSAGE', entries(file('a'), file('a/b'))],
      'a file below a link': ['BAD_MESSAGE', entries(symlinkEntry('a', '/'), file('a/b'))],
      'a directory below a link': [
        'BAD_MESSAGE',
        entries(symlinkEntry('a', '..'), directoryEntry('a/b')),
      ],
      'a file below nothing': ['BAD_MESSAGE', entries(file('a/b'))],
      'the wrong id': ['MANIFEST_MISMATCH', sent(upserts(file('a')))],
      'the id of another': ['MANIFEST_MISMATCH', sent(upserts(file('a')), EMPTY)],
      'a base that was never agreed on': [
        'MANIFEST_MISMATCH',
        async (run) => {
          await run.open();
          run.sendRules();
          run.sendManifest(upserts(file('a')), { id: NO_MANIFEST, base: NO_MANIFEST });
        },
      ],
      'a deletion of what is not there': ['MANIFEST_MISMATCH', sent(deletion('a'))],
    });
    assert.equal(existsSync('/tmp/rmtx-evil'), false);
  });

  test('of names, times and depths that no file system takes ends with a reason', async () => {
    await using scene = await Scene.create();
    const deep = Array.from({ length: 1000 }, (_, depth) =>
      directoryEntry('d/'.repeat(depth) + 'd'),
    );
    const far = { mtimeUs: Number.MAX_SAFE_INTEGER };
    const manifests: Record<string, Entry[]> = {
      'a name of 400 bytes': [file('ü'.repeat(200))],
      'a directory with a name of 400 bytes': [directoryEntry('ü'.repeat(200))],
      'a depth of a thousand': deep,
      'a time in 200,000 years': [fileEntry('a', 'x', far)],
      'a time before all': [fileEntry('a', 'x', { mtimeUs: -Number.MAX_SAFE_INTEGER })],
      'case twins': [directoryEntry('A'), file('A/x'), file('a')],
      'no permissions': [directoryEntry('d', 0), fileEntry('d/x', 'x', { mode: 0 })],
      'a long link': [symlinkEntry('l', 'x/'.repeat(2000))],
      'names of rmtx itself': [file('.rmtx-stage-x'), file('a.rmtx-conflict-b')],
      '.git': [directoryEntry('.git'), file('.git/config')],
    };
    for (const [name, manifest] of Object.entries(manifests)) {
      const run = await scene.liar.connect();
      await run.open();
      run.sendRules();
      run.sendEntries(ordered(manifest));
      const ending = upload(run, 'x').then(async () => {
        run.start(['true']);
        await run.exited();
        await run.next('change_set');
        run.say({ type: 'discard' });
        await run.next('acknowledged');
      });
      await ending.catch(() => undefined);
      await run.connection.close();
      await scene.assertUnhurt(name);
      // In order again, too: what was made can be taken away.
      assert.doesNotMatch(scene.host.running.stderr, /HOST_FAILED|Internal error|    at /, name);
    }
  });

  test('sent ahead in part, but not as it is, is refused as well', async () => {
    await using scene = await Scene.create();
    const ahead =
      (...pieces: readonly Buffer[]): Lie =>
      async (run) => {
        await run.open({ offers_entries_ahead: true });
        run.say({ type: 'ahead_sample', digests: [digestOf('new here')] });
        assert.deepEqual(await run.next('ahead_sampled'), {
          type: 'ahead_sampled',
          isWanted: true,
        });
        const channel = run.connection.openSend(CHANNEL.aheadEntries);
        for (const piece of pieces) void channel.write(piece).catch(() => undefined);
        channel.end();
        run.sendRules();
        run.sendEntries([]);
      };
    const entry = (...entries: Entry[]): Buffer => {
      const record = upserts(...entries);
      return recordOf({ type: 'entry', length: record.length }, record);
    };
    const sample =
      (digests: unknown): Lie =>
      async (run) => {
        await run.open({ offers_entries_ahead: true });
        run.sayRaw({ type: 'ahead_sample', digests });
        await run.ending();
      };
    const outside = path.join(scene.outside, 'secret');
    await assertRefused(scene, {
      'a sample that is none': ['BAD_MESSAGE', sample(['../../key.pem'])],
      'a sample too large': [
        'BAD_MESSAGE',
        sample(new Array<unknown>(MAX_SAMPLE + 1).fill(digestOf('a'))),
      ],
      'no sample': [
        'BAD_MESSAGE',
        async (run) => {
          await run.open({ offers_entries_ahead: true });
          run.sendRules();
          run.sendEntries([]);
          await run.ending();
        },
      ],
      noise: ['BAD_MESSAGE', ahead(Buffer.alloc(1000, 0xff))],
      'a path out of the workspace': ['BAD_MESSAGE', ahead(entry(directoryEntry('../x')))],
      'an absolute path': ['BAD_MESSAGE', ahead(entry(file(outside)))],
      'a link': ['BAD_MESSAGE', ahead(entry(symlinkEntry('l', scene.outside)))],
      'a file in a directory that is not there': ['BAD_MESSAGE', ahead(entry(file('a/b')))],
      'no content': ['BAD_MESSAGE', ahead(entry(file('a')))],
      'too long a name': ['PATH_INVALID', ahead(entry(directoryEntry('ü'.repeat(200))))],
    });
  });

  test('without an end, or of a million entries, costs a bounded amount of memory', async () => {
    await using scene = await Scene.create();
    const before = memoryOf(scene.host);
    const run = await scene.liar.connect();
    await run.open();
    run.sendRules();
    run.say({ type: 'manifest', round: 0, base: null, manifestId: NO_MANIFEST, hasRules: true });
    const channel = run.connection.openSend(roundChannels(0).manifest);
    // Short ones: no entry costs the host more for a byte on the wire. All have names of one length.
    const FIRST = 1e9;
    const record = upserts(directoryEntry(FIRST.toString(36)));
    const name = record.indexOf(FIRST.toString(36));
    const endless = async (): Promise<void> => {
      for (let first = FIRST; ; first += 20_000) {
        const records = Buffer.alloc(20_000 * record.length, record);
        for (let index = 0; index < 20_000; index++)
          records.write((first + index).toString(36), index * record.length + name, 'latin1');
        await channel.write(records);
      }
    };
    await endless().catch(() => undefined);
    assert.equal(await run.ending(), 'ERR_RMTX_BAD_MESSAGE');
    await scene.assertUnhurt('endless');
    const used = memoryOf(scene.host).peakMb - before.peakMb;
    assert.ok(used < 1500, `${used} MB`);
  });

  test('with rules that are none, or too many, is refused', async () => {
    await using scene = await Scene.create();
    const rules =
      (bytes: Uint8Array): Lie =>
      async (run) => {
        await run.open();
        run.sendRules(bytes);
        run.sendEntries([]);
        await run.next('blobs_wanted');
        run.start(['true']);
      };
    const json = (value: unknown): Lie => rules(Buffer.from(JSON.stringify(value)));
    const good = JSON.parse(EVERYTHING.toString()) as Record<string, unknown>;
    await assertRefused(scene, {
      'no JSON': ['BAD_MESSAGE', rules(Buffer.from('{'))],
      nothing: ['BAD_MESSAGE', rules(Buffer.alloc(0))],
      'a list': ['BAD_MESSAGE', json([])],
      'mounts that are none': ['BAD_MESSAGE', json({ ...good, mounts: 'all' })],
      'a mount without a path': ['BAD_MESSAGE', json({ ...good, mounts: [{ exclude: [] }] })],
      'fields in the prototype': [
        'BAD_MESSAGE',
        rules(Buffer.from(`{"__proto__":${EVERYTHING.toString()}}`)),
      ],
      'sixteen megabytes and more': ['BAD_MESSAGE', rules(Buffer.alloc(17 * 1024 * 1024, ' '))],
    });
  });

  test('with rules that lead out of the workspace touches nothing there', async () => {
    await using scene = await Scene.create();
    const good = JSON.parse(EVERYTHING.toString()) as Record<string, unknown>;
    const away = path.relative(scene.host.stateDirectory, scene.outside);
    for (const mount of ['../../../..', `../../../${away}`, scene.outside, '/', 'a/../../..', '..'])
      for (const keep of [['../**'], [`${mount}/**`], ['*']]) {
        const run = await scene.liar.connect();
        await run.open();
        run.sendRules(
          Buffer.from(
            JSON.stringify({
              ...good,
              mounts: [{ path: mount, exclude: ['../**'] }],
              syncBack: ['../**', `${mount}/secret`, '**'],
              keepOnHost: keep,
              gitignore: [{ directory: mount, source: '../../x', text: '*\n!../secret\n' }],
            }),
          ),
        );
        run.sendEntries([]);
        await run.next('blobs_wanted').then(
          async () => {
            run.start(['true']);
            await run.exited();
            assert.equal((await run.next('change_set')).changes, 0);
          },
          () => undefined,
        );
        run.connection.destroy();
        await scene.assertUnhurt(`${mount} ${keep.join()}`);
      }
  });

  test('with patterns made to be slow keeps nobody else waiting', async () => {
    await using scene = await Scene.create();
    const stars = `${'*a'.repeat(30)}b`;
    const good = JSON.parse(EVERYTHING.toString()) as Record<string, unknown>;
    const lists = [
      stars,
      `${'**/'.repeat(30)}b`,
      `{${'a,'.repeat(1000)}a}`.repeat(8),
      '[a-'.repeat(1000),
    ];
    const run = await scene.liar.connect();
    await run.open();
    run.sendRules(
      Buffer.from(
        JSON.stringify({
          ...good,
          ignore: lists,
          keepOnHost: lists,
          syncBack: lists,
          gitignore: [{ directory: '', source: '.gitignore', text: lists.join('\n').repeat(20) }],
        }),
      ),
    );
    const name = 'a'.repeat(250);
    const slow = ordered([directoryEntry(name), file(`${name}/${name}`), file(name.slice(1))]);
    run.sendEntries(slow);
    await upload(run, 'x');
    run.start(['sh', '-c', `for i in 1 2 3; do touch ${name.slice(4)}$i; done`]);
    await run.exited();
    const startedAt = performance.now();
    await scene.assertUnhurt('slow patterns');
    assert.ok(performance.now() - startedAt < 5000);
    await run.next('change_set');
    run.connection.destroy();
  });
});
