import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { BlobReceiver } from '../../../src/protocol/blob-receiver.js';
import { BlobSender } from '../../../src/protocol/blob-sender.js';
import {
  applyTree,
  fetchFrom,
  makeRig,
  readContents,
  readTree,
  remove,
  writeTree,
} from '../../support/apply-rig.js';
import type { Tree } from '../../support/apply-rig.js';
import { SourceFiles } from '../../support/blob-peers.js';

describe('a run that cannot be applied as a whole', () => {
  test('leaves everything as it was when the fetch fails', async () => {
    using rig = makeRig({ a: '1', b: '2' });
    const before = readTree(rig.project);
    const apply = applyTree(rig, {
      theirs: { a: '1!', c: '3' },
      fetch: async (wanted, sink) => {
        await fetchFrom({ a: '1!' })(wanted.slice(0, 1), sink);
        throw new Error('the connection is gone');
      },
    });
    await assert.rejects(apply, /the connection is gone/);
    assert.deepEqual(readTree(rig.project), before);
    assert.deepEqual(readdirSync(path.join(rig.home, 'stage')), []);
  });

  test('is refused when the fetch ends without the content', async () => {
    using rig = makeRig({ a: '1' });
    const apply = applyTree(rig, { theirs: { a: '2' }, fetch: () => Promise.resolve() });
    await assert.rejects(apply, { code: 'ERR_RMTX_BLOB_MISSING' });
    assert.deepEqual(readContents(rig.project), { a: '1' });
  });

  test('is applied without the paths whose content the host lost, and says which', async () => {
    using rig = makeRig({ a: '1', b: '2' });
    const report = await applyTree(rig, {
      theirs: { a: '1!', b: '2!' },
      fetch: fetchFrom({ a: '1!' }),
    });
    assert.deepEqual(readContents(rig.project), { a: '1!', b: '2' });
    assert.deepEqual(
      report.problems.map(({ path: at, code }) => [at, code]),
      [['b', 'vanished']],
    );
  });

  test('keeps the unfinished part of a large file for the next attempt', async () => {
    using rig = makeRig({ a: '1' });
    const big = Buffer.alloc(5 * 1024 * 1024, 'y').toString();
    const apply = applyTree(rig, {
      theirs: { a: big },
      fetch: ([wanted], sink) => {
        assert.ok(wanted !== undefined);
        const { path: file } = sink.createLarge(wanted.digest, wanted.size);
        writeFileSync(file, 'the first part');
        throw new Error('cut');
      },
    });
    await assert.rejects(apply, /cut/);
    const seen: string[] = [];
    const fetch = fetchFrom({ a: big });
    await applyTree(rig, {
      theirs: { a: big, b: 'x' },
      fetch: (wanted, sink) => {
        const large = wanted.find(({ size }) => size === big.length);
        remove(rig.project, 'a');
        const fd = large && sink.basis(large.digest, large.size);
        if (fd !== undefined) seen.push(readFileSync(fd, 'utf8'));
        writeTree(rig.project, { a: '1' });
        return fetch(wanted, sink);
      },
    });
    assert.deepEqual(seen, ['the first part']);
    assert.equal(readFileSync(path.join(rig.project, 'a'), 'utf8'), big);
    assert.deepEqual(readdirSync(path.join(rig.home, 'partial')), []);
  });

  test('fetches of a large file that was edited only what is new', async () => {
    const old = Buffer.alloc(8 * 1024 * 1024, 'abcdefgh');
    for (let at = 0; at < old.length; at += 4096) old.writeUInt32BE(at, at);
    const edited = Buffer.from(old);
    edited.write('edited', 5_000_000);
    using rig = makeRig({ a: old.toString('latin1') });
    writeFileSync(path.join(rig.project, 'a'), old);
    const sources = new SourceFiles(path.join(rig.home, 'sources'));
    sources.add(edited);
    let received = 0;
    await applyTree(rig, {
      theirs: { a: { content: edited } },
      fetch: async (wanted, sink) => {
        using receiver = new BlobReceiver(sink);
        const sender = new BlobSender(sources, (bytes) => {
          received += bytes.length;
          receiver.push(bytes);
          return Promise.resolve();
        });
        for (const { digest, size } of wanted) receiver.want(digest, size);
        receiver.endRound();
        while (!receiver.isRoundOver) {
          const requests = receiver.takeRequests();
          if (requests !== undefined) await sender.push(requests);
          while (receiver.work());
        }
      },
    });
    assert.ok(readFileSync(path.join(rig.project, 'a')).equals(edited));
    assert.ok(received < 1.1 * 1024 * 1024, `${received} bytes`);
  });
});

describe('the brake on mass deletion', () => {
  const many: Tree = Object.fromEntries(
    Array.from({ length: 150 }, (_, index) => [`d/f${index}`, `${index}`]),
  );

  test('holds all deletions back, and lets the rest through', async () => {
    using rig = makeRig({ ...many, a: '1' });
    const report = await applyTree(rig, { theirs: { a: '2' } });
    assert.deepEqual(readContents(rig.project), { ...many, a: '2' });
    assert.equal(report.heldDeletions?.count, 150);
    assert.deepEqual(report.deleted, []);
    assert.match(report.problems[0]?.message ?? '', /150 deletions .* --allow-mass-delete/);
  });

  test('opens when the user says so', async () => {
    using rig = makeRig({ ...many, a: '1' });
    const report = await applyTree(rig, { theirs: { a: '2' }, allowMassDelete: true });
    assert.deepEqual(readContents(rig.project), { a: '2' });
    assert.equal(report.deleted.length, 151);
    assert.equal(report.heldDeletions, undefined);
  });

  test('also stops the change set of a host that lost a small project', async () => {
    const small = Object.fromEntries(Object.entries(many).slice(0, 12));
    using rig = makeRig(small);
    const report = await applyTree(rig, { theirs: {} });
    assert.deepEqual(readContents(rig.project), small);
    assert.equal(report.heldDeletions?.count, 12);
  });

  test('does not count what only moved', async () => {
    using rig = makeRig({ ...many, a: '1' });
    const moved: Record<string, string> = { a: '1' };
    for (const [name, content] of Object.entries(many)) moved[`e/${name}`] = content as string;
    const report = await applyTree(rig, {
      theirs: moved,
      fetch: () => Promise.reject(new Error()),
    });
    assert.equal(report.heldDeletions, undefined);
    assert.deepEqual(readContents(rig.project), moved);
  });

  test('lets a hundred files go, and few of many', async () => {
    using rig = makeRig({ ...many, a: '1' });
    const left = Object.fromEntries(Object.entries(many).slice(100));
    const report = await applyTree(rig, { theirs: { ...left, a: '1' } });
    assert.equal(report.heldDeletions, undefined);
    assert.deepEqual(readContents(rig.project), { ...left, a: '1' });
  });
});
