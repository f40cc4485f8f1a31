import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import {
  closeWorkspaceWorkers,
  prewarmWorkspaceWorkers,
  releaseThread,
  takeThread,
} from '../../../src/host/workspace-threads.js';
import { Workspace } from '../../../src/host/workspace.js';
import { encodeRuleSources } from '../../../src/sync/rule-sources.js';
import { EntryTable } from '../../../src/sync/entry-table.js';
import { encodeDiff } from '../../../src/sync/table-changes.js';
import type { Tree } from '../../support/disk-tree.js';
import { PLAIN_RULES, SlotRig } from '../../support/slot-rig.js';

after(closeWorkspaceWorkers);

const rules = encodeRuleSources(PLAIN_RULES);
const tree: Tree = new Map([
  ['src', { kind: 'directory', mode: 0o755 }],
  ['src/main.c', { kind: 'file', bytes: 'int main;', mode: 0o644, mtimeUs: 1_600_000_000_000_000 }],
]);

describe('Workspace', () => {
  test('carries a run from verify to acknowledge, with calls queued ahead', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(tree);
    await using workspace = Workspace.open(rig.options);
    const verified = workspace.verify();
    const begun = workspace.beginManifest({ fromBase: false, rules });
    const pushed = [...encodeDiff(EntryTable.empty, next)].map((piece) =>
      workspace.pushManifest(piece),
    );
    const missing = await workspace.finishManifest(next.manifestId);
    assert.equal((await verified).manifestId, undefined);
    await Promise.all([begun, ...pushed]);
    assert.deepEqual([missing.missingFiles, missing.missingBytes], [1, 9]);

    const blobs = await rig.answer(missing.requests);
    const results = await Promise.all(
      [blobs.subarray(0, 20), blobs.subarray(20)].map((piece) =>
        workspace.pushBlobs(new Uint8Array(piece)),
      ),
    );
    assert.deepEqual(
      results.map((result) => result.isRoundOver),
      [false, true],
    );
    assert.equal((await workspace.materialize()).filesWritten, 1);
    writeFileSync(path.join(rig.workspace, 'src', 'main.o'), 'object');
    const summary = await workspace.collect({
      changeSetFile: rig.changeSetFile,
      clockOffsetUs: 0,
      startedUs: 0,
      wantsSyncBack: true,
    });
    assert.deepEqual([summary.changes, summary.deletions, summary.bytes], [1, 0, 6]);
    await workspace.acknowledge();

    await using again = Workspace.open(rig.options);
    assert.equal((await again.verify()).manifestId, summary.manifestId);
  });

  test('keeps the code of an error, and what it hints at', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(tree);
    await using workspace = Workspace.open(rig.options);
    await workspace.verify();
    await workspace.beginManifest({ fromBase: false, rules });
    await assert.rejects(workspace.finishManifest(next.manifestId), {
      name: 'RmtxError',
      code: 'ERR_RMTX_MANIFEST_MISMATCH',
    });
    await assert.rejects(workspace.pushBlobs(new Uint8Array(1)), /pushBlobs is not due/);
  });

  test('says why a slot cannot be opened', async () => {
    using rig = new SlotRig();
    writeFileSync(rig.options.blobStoreDirectory, 'a file');
    await using workspace = Workspace.open(rig.options);
    await assert.rejects(workspace.verify(), /blobs/);
  });

  test('is of no more use when its worker has died, and leaves the next one a whole slot', async () => {
    using rig = new SlotRig();
    const next = rig.manifestOf(tree);
    const thread = takeThread();
    await thread.call('open', rig.options);
    const ended = thread.end();
    await assert.rejects(thread.call('verify', undefined), { code: 'ERR_RMTX_HOST_FAILED' });
    await ended;
    await assert.rejects(thread.call('verify', undefined), { code: 'ERR_RMTX_HOST_FAILED' });
    assert.ok(thread.isDead);

    using session = rig.open();
    session.verify();
    await rig.bring(session, next);
    assert.equal(readFileSync(path.join(rig.workspace, 'src', 'main.c'), 'utf8'), 'int main;');
  });

  test('gives its worker to the next workspace', async () => {
    await closeWorkspaceWorkers();
    prewarmWorkspaceWorkers();
    using rig = new SlotRig();
    const workspace = Workspace.open(rig.options);
    await workspace.verify();
    await workspace.dispose();
    await workspace.dispose();
    const thread = takeThread();
    await assert.rejects(thread.call('verify', undefined), /no workspace is open/);
    releaseThread(thread);
  });
});
