/** Runs in a process that is not root's: for it, modes count. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Node } from './disk-tree.js';
import { PLAIN_RULES, SlotRig, treeOf } from './slot-rig.js';

const modeOf = (file: string): number => lstatSync(file).mode & 0o777;

async function main(): Promise<void> {
  assert.notEqual(process.getuid?.(), 0);
  using rig = new SlotRig();
  const tree = treeOf({
    ro: '/',
    'ro/deep': '/',
    'ro/deep/a': 'one',
    'ro/b': 'two',
    hidden: '/',
    'hidden/c': 'c',
  });
  const close = (at: string, mode: number): unknown =>
    tree.set(at, { ...tree.get(at), mode } as Node);
  close('ro', 0o555);
  close('ro/deep', 0o500);
  close('ro/b', 0o444);
  close('hidden', 0o000);
  close('hidden/c', 0o000);
  const first = rig.manifestOf(tree);
  let base = await rig.run(first);
  assert.deepEqual(
    ['ro', 'ro/deep', 'hidden'].map((at) => modeOf(rig.at(at))),
    [0o555, 0o500, 0],
  );
  assert.equal(base.manifestId, first.manifestId);

  // Changed, added and removed inside of them.
  tree.set('ro/deep/a', { kind: 'file', bytes: 'changed', mode: 0o600, mtimeUs: 1 });
  tree.set('ro/deep/new', { kind: 'file', bytes: 'new', mode: 0o400, mtimeUs: 1 });
  tree.delete('ro/b');
  tree.delete('hidden/c');
  base = await rig.run(rig.manifestOf(tree), { base });
  assert.equal(readFileSync(rig.at('ro', 'deep', 'a'), 'utf8'), 'changed');
  assert.deepEqual(
    ['ro', 'ro/deep', 'hidden'].map((at) => modeOf(rig.at(at))),
    [0o555, 0o500, 0],
  );
  assert.equal(existsSync(rig.at('ro', 'b')), false);

  // Left behind by a command: one sent home, one ignored, a file that not even its owner may read.
  base = await rig.run(base, {
    base,
    command: () => {
      for (const [at, mode] of [
        ['made', 0o555],
        ['ignored', 0o500],
      ] as const) {
        mkdirSync(rig.at(at));
        writeFileSync(rig.at(at, 'file'), at, { mode: 0o200 });
        chmodSync(rig.at(at), mode);
      }
    },
  });
  assert.deepEqual(rig.changes(), ['+ made', '+ made/file']);
  assert.deepEqual([modeOf(rig.at('made')), modeOf(rig.at('made', 'file'))], [0o555, 0o200]);
  assert.equal(existsSync(rig.at('ignored')), false);

  // And the whole of it goes again.
  await rig.run(rig.manifestOf(treeOf({ a: 'a' })), { base, rules: PLAIN_RULES });
  assert.equal(
    existsSync(rig.at('ro')) || existsSync(rig.at('made')) || existsSync(rig.at('hidden')),
    false,
  );
}

export const closedDirectoriesScript = __filename;

if (require.main === module) void main();
