/** Runs in a process of its own, with a small file system at the directory given: what no space does. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { readTree } from './disk-tree.js';
import { SlotRig, treeOf } from './slot-rig.js';

const KIB = 1024;

async function main(directory: string): Promise<void> {
  using rig = new SlotRig(directory);
  const names = Array.from({ length: 20 }, (_, index) => `file-${index + 10}`);
  const contentOf = (name: string): string => name.repeat((32 * KIB) / name.length);
  const large = rig.manifestOf(
    treeOf(Object.fromEntries(names.map((name) => [name, contentOf(name)]))),
  );
  const small = rig.manifestOf(treeOf({ 'file-10': contentOf('file-10'), other: 'text' }));
  {
    using session = rig.open();
    session.verify();
    await assert.rejects(rig.bring(session, large), { code: 'ERR_RMTX_DISK_FULL' });
    session.restore();
  }
  // What does fit is brought all the same, and what is left of the other goes.
  using session = rig.open();
  session.verify();
  await rig.bring(session, small);
  assert.deepEqual([...readTree(rig.workspace).keys()].sort(), ['file-10', 'other']);
  // The results do not fit: the command wrote as much as there was.
  writeFileSync(rig.at('output'), 'x'.repeat(300 * KIB));
  assert.throws(() => rig.collect(session), { code: 'ERR_RMTX_DISK_FULL' });
  session.restore();
  assert.deepEqual(readdirSync(rig.workspace).sort(), ['file-10', 'other']);
  await rig.run(small, { base: small });
}

export const fullDiskScript = __filename;

if (require.main === module) void main(process.argv[2] ?? '');
