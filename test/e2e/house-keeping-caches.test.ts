/** `rmtx cache`: what is kept on both sides only to be quick. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { json, ran } from '../support/house-keeping.js';
import { Rig } from '../support/rig.js';
import type { Result } from '../support/rig.js';

describe('cache prune', () => {
  test('frees what nothing needs on both sides; a dry run only says so', async () => {
    await using rig = new Rig();
    const project = await rig.project({ 'old.txt': 'old content' });
    const { client, host } = project;
    await ran(project, 'seq 1000 > made.txt');
    // Displaced from the workspace, so that it becomes a blob.
    project.write({ 'old.txt': 'new content' });
    await ran(project);
    const gone = client.project({}, { host });
    await ran(gone);
    rmSync(gone.root, { recursive: true });
    // What a transfer that was cut leaves.
    const [store = ''] = readdirSync(path.join(host.stateDirectory, 'blobs'));
    const partial = path.join(host.stateDirectory, 'blobs', store, 'partial');
    mkdirSync(partial, { recursive: true });
    writeFileSync(path.join(partial, 'ab'.repeat(32)), 'the first half');

    const prune = (...flags: string[]): Promise<Result> =>
      client.rmtx(['cache', 'prune', '--host', host.address, ...flags]);
    const planned = await prune('--dry-run');
    assert.equal(planned.code, 0, planned.stderr);
    const lines = planned.text.trimEnd().split('\n');
    const total = lines.pop() ?? '';
    assert.ok(lines.some((line) => line.startsWith(`would-delete\tproject\t${gone.root}\t`)));
    assert.ok(lines.some((line) => /^would-delete\tblob\tblake3:[0-9a-f]{64}\t\//.test(line)));
    assert.ok(lines.some((line) => line.startsWith(`would-delete\tpartial\t${'ab'.repeat(32)}\t`)));
    assert.match(total, new RegExp(`^would-delete\\t${lines.length}\\tbytes=\\d+$`));
    assert.equal((await prune('--dry-run')).text, planned.text);

    const done = json(await prune('--json'));
    assert.equal(done['dry_run'], false);
    for (const side of ['local', 'host'] as const) {
      const { deleted, bytes } = done[side] as { deleted: unknown[]; bytes: number };
      assert.ok(deleted.length > 0 && bytes > 0, side);
    }
    assert.equal((await prune()).text, 'deleted\t0\tbytes=0\n');
    assert.deepEqual(readdirSync(partial), []);
    await ran(project, 'grep -q new old.txt && test "$(wc -l < made.txt)" -eq 1000');
  });

  test('leaves alone what a run that goes on may need, and says so', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client } = project;
    const running = client.start(['exec', '--', 'sh', '-c', 'echo started; cat'], {
      cwd: project.root,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await running.says(/started/);
    const pruned = await client.rmtx(['cache', 'prune']);
    assert.deepEqual([pruned.code, pruned.text], [0, 'deleted\t0\tbytes=0\n']);
    assert.match(pruned.stderr, /^rmtx: a run is going on/);
    assert.equal((await client.rmtx(['cache', 'prune', '-q'])).stderr, '');
    running.child.stdin?.end();
    assert.equal((await running.ended).code, 0);
    assert.equal((await client.rmtx(['cache', 'prune'])).stderr, '');
  });

  test('says what was freed here also where the host cannot be reached', async () => {
    await using rig = new Rig();
    const project = await rig.project();
    const { client, host } = project;
    await ran(project);
    rmSync(project.root, { recursive: true });
    await host.stop();
    const result = await client.rmtx(['cache', 'prune']);
    assert.equal(result.code, 1);
    assert.match(result.text, new RegExp(`^deleted\tproject\t${project.root}\t`));
    assert.match(result.stderr, /^rmtx: error: cannot reach the host at /);
  });
});
