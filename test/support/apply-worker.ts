/**
 * A process that applies one change set and can be killed: `node apply-worker.js HOME PROJECT FILES`; with
 * 0 files it only recovers. Prints `applied` at the end, else a line with what went wrong. The trees are functions of the number of files, so that the test knows
 * them without being told; `base` must lie in the project, its manifest in HOME/base.
 */
import path from 'node:path';
import { loadEntryTable } from '../../src/sync/entry-table-file.js';
import { recoverInterrupted } from '../../src/client/recover.js';
import { applyTree } from './apply-rig.js';
import type { Node, Tree } from './apply-rig.js';

/** Every kind of operation occurs, mixed, whatever the number of files is. */
export function crashTrees(files: number): { base: Tree; theirs: Tree } {
  if (files === 1) return { base: { edited: '1', gone: '1' }, theirs: { edited: 'theirs' } };
  const base: Record<string, Node> = {};
  const theirs: Record<string, Node> = {};
  for (let index = 0; index < files; index++) {
    const file = `d${index % 7}/sub${index % 3}/f${index}`;
    const content = `content of ${index}`;
    switch (index % 10) {
      case 0:
        theirs[file] = `${content}, new`;
        break;
      case 1:
        base[file] = content;
        break;
      case 2:
        base[file] = content;
        theirs[`${file}-renamed`] = content;
        break;
      case 3:
        base[file] = content;
        theirs[file] = { content, mode: 0o755 };
        break;
      case 4:
        base[file] = { link: `target-${index}` };
        theirs[file] = index % 20 === 4 ? { link: 'other' } : `${content}, no longer a link`;
        break;
      case 5:
        base[file] = content;
        theirs[`${file}/now-a-directory`] = content;
        break;
      case 6:
        base[`${file}/was-a-directory`] = content;
        theirs[file] = content;
        break;
      default:
        base[file] = content;
        theirs[file] = { content: `${content}, edited`, mode: index % 2 === 0 ? 0o755 : 0o644 };
    }
  }
  return { base, theirs };
}

async function main([home = '', project = '', files = '']: string[]): Promise<void> {
  if (files === '0') {
    for (const { kind, message } of await recoverInterrupted(home))
      if (kind === 'waiting' || kind === 'quarantined') throw new Error(message);
    process.stdout.write('recovered\n');
    return;
  }
  const { theirs } = crashTrees(Number(files));
  const table = loadEntryTable(path.join(home, 'base'));
  if (table === undefined) throw new Error('the test left no base');
  const stateDirectory = path.join(home, 'projects', 'key');
  const rig = { home, project, stateDirectory, [Symbol.dispose]: () => undefined };
  await applyTree(rig, { theirs, table, allowMassDelete: true });
  process.stdout.write('applied\n');
}

if (require.main === module)
  main(process.argv.slice(2)).catch((error: unknown) => {
    process.stdout.write(`failed: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
