import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parentOf } from '../../src/sync/entry.js';
import {
  applyTree,
  changesTo,
  makeRig,
  readContents,
  readTree,
  remove,
  scanTable,
  tableOf,
  writeTree,
} from '../support/apply-rig.js';
import type { Node, Tree } from '../support/apply-rig.js';

const numRuns = process.env['RMTX_LONG_TESTS'] === '1' ? 3000 : 80;

/** Few names, so that files, directories and links meet in the same places. */
const name = fc.constantFrom('a', 'b', 'c d', 'é');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const node: fc.Arbitrary<Node> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('1', '2', '3', '') },
  {
    weight: 2,
    arbitrary: fc.record({
      content: fc.constantFrom('1', '2'),
      mode: fc.constantFrom(0o600, 0o755),
      mtimeUs: fc.constantFrom(1_500_000_000_000_000, 1_600_000_000_000_001),
    }),
  },
  { weight: 2, arbitrary: fc.constantFrom({ link: 'a' }, { link: 'b' }) },
  { weight: 1, arbitrary: fc.constantFrom({ directoryMode: 0o755 }, { directoryMode: 0o700 }) },
);

/** Any set of paths made a tree: what lies below a file or link is left out. */
const tree: fc.Arbitrary<Tree> = fc
  .dictionary(path, node, { maxKeys: 8, noNullPrototype: true })
  .map((whole) =>
    Object.fromEntries(
      Object.entries(whole).filter(([at]) => {
        for (let above = parentOf(at); above !== ''; above = parentOf(above)) {
          const node = whole[above];
          if (node !== undefined && !(typeof node === 'object' && 'directoryMode' in node))
            return false;
        }
        return true;
      }),
    ),
  );

/** A tree, and what two sides made of it: mostly the same. */
const sides = fc.record({ base: tree, mine: tree, theirs: tree, isMineEdited: fc.boolean() });

function replaceTree(project: string, from: Tree, to: Tree): void {
  const tops = new Set(Object.keys(from).map((at) => at.split('/')[0] ?? ''));
  remove(project, ...tops);
  writeTree(project, to);
}

test('what nobody disturbs ends as exactly what the run left', async () => {
  await fc.assert(
    fc.asyncProperty(tree, tree, async (base, theirs) => {
      using rig = makeRig(base);
      const report = await applyTree(rig, { theirs, allowMassDelete: true });
      using wanted = makeRig(theirs);
      assert.deepEqual(readTree(rig.project), readTree(wanted.project));
      assert.deepEqual([report.conflicts, report.problems], [[], []]);
      assert.equal(report.table.manifestId, scanTable(rig.project).manifestId);
      assert.equal(report.table.manifestId, tableOf(theirs).manifestId);
    }),
    { numRuns },
  );
});

test('no content that only one side has is lost, and the second time nothing happens', async () => {
  await fc.assert(
    fc.asyncProperty(sides, async ({ base, mine, theirs }) => {
      using rig = makeRig(base);
      const table = scanTable(rig.project);
      const baseContents = readContents(rig.project);
      replaceTree(rig.project, base, mine);
      const mineContents = readContents(rig.project);
      const request = { theirs, table, changes: changesTo(table, theirs), allowMassDelete: true };
      const report = await applyTree(rig, request);
      const after = readContents(rig.project);

      for (const [at, content] of Object.entries(mineContents))
        if (baseContents[at] !== content) assert.equal(after[at], content, `mine at ${at}`);
      const copies = new Map(
        report.conflicts.map((conflict) => [conflict.path, conflict] as const),
      );
      using left = makeRig(theirs);
      for (const [at, content] of Object.entries(readContents(left.project))) {
        if (baseContents[at] === content || after[at] === content) continue;
        const copy = copies.get(at as never)?.keptTheirsAs;
        assert.ok(copy !== undefined, `theirs at ${at} is nowhere`);
        assert.equal(after[copy], content, `the copy of theirs at ${at}`);
      }
      assert.deepEqual(report.problems, []);

      const before = readTree(rig.project);
      await applyTree(rig, request);
      assert.deepEqual(readTree(rig.project), before);
    }),
    { numRuns },
  );
});

test('what both sides left alone, or only one side changed, is never in conflict', async () => {
  await fc.assert(
    fc.asyncProperty(tree, tree, fc.boolean(), async (base, changed, isMine) => {
      using rig = makeRig(base);
      const table = scanTable(rig.project);
      if (isMine) replaceTree(rig.project, base, changed);
      const before = readTree(rig.project);
      const theirs = isMine ? base : changed;
      const report = await applyTree(rig, { theirs, table, allowMassDelete: true });
      assert.deepEqual(report.conflicts, []);
      if (isMine) assert.deepEqual(readTree(rig.project), before);
    }),
    { numRuns },
  );
});
