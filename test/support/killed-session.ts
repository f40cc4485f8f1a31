/**
 * Runs in a process of its own, to be killed: brings a workspace to one tree after the other and says each
 * step on stdout. `killedTree(n)` is what it is told to bring.
 */
import { writeSync } from 'node:fs';
import type { WorkspaceOptions } from '../../src/host/workspace-session.js';
import { WorkspaceSession } from '../../src/host/workspace-session.js';
import { EntryTable } from '../../src/sync/entry-table.js';
import { encodeRuleSources } from '../../src/sync/rule-sources.js';
import { encodeDiff } from '../../src/sync/table-changes.js';
import type { Tree } from './disk-tree.js';
import { PLAIN_RULES, SlotRig, treeOf } from './slot-rig.js';

const FILES = 60;

/** Trees of the same files with other contents, names and kinds. */
export function killedTree(generation: number): Tree {
  const short: Record<string, string> = {};
  for (let index = 0; index < FILES; index++) {
    const directory = `d${(index + generation) % 7}`;
    short[directory] = '/';
    short[`${directory}/f${index}`] = index % 3 === 0 ? `same ${index}` : `${generation} ${index}`;
  }
  short[`kind${generation % 2}`] = '-> d1';
  short[`kind${(generation + 1) % 2}`] = '/';
  return treeOf(short);
}

async function main(options: WorkspaceOptions): Promise<void> {
  using client = new SlotRig();
  for (let generation = 0; generation < 1000; generation++) {
    using session = new WorkspaceSession(options);
    session.verify();
    const next = client.manifestOf(killedTree(generation));
    session.beginManifest({ fromBase: false, rules: encodeRuleSources(PLAIN_RULES) });
    for (const piece of encodeDiff(EntryTable.empty, next)) session.pushManifest(piece);
    const { requests } = session.finishManifest(next.manifestId);
    writeSync(1, '.');
    session.prepare();
    writeSync(1, '.');
    const blobs = requests.length > 0 ? await client.answer(requests) : Buffer.alloc(0);
    for (let start = 0; start < blobs.length; start += 50) {
      session.pushBlobs(blobs.subarray(start, start + 50));
      writeSync(1, '.');
    }
    session.materialize();
    writeSync(1, '.');
    session.saveIndex();
    writeSync(1, '.');
  }
}

export const killedSessionScript = __filename;

if (require.main === module) void main(JSON.parse(process.argv[2] ?? '') as WorkspaceOptions);
