import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Gate } from '../support/gate.js';
import { COMMANDS } from '../support/commands.js';
import {
  PRINT_FLAT_TREE,
  become,
  becomeCommand,
  flatTree,
  flatten,
} from '../support/planned-tree.js';
import type { Plan, State } from '../support/planned-tree.js';
import { runReported, startReported } from '../support/reported-run.js';
import type { ReportedRun } from '../support/reported-run.js';
import { Rig } from '../support/rig.js';
import type { RigProject } from '../support/rig.js';

interface Sides {
  readonly base: State;
  readonly mine: State;
  readonly theirs: State;
}

/** One run in which, for each name, the project changes as `mine` and the command as `theirs` says. */
async function runWithEdits(
  rig: Rig,
  cases: ReadonlyMap<string, Sides>,
): Promise<{ project: RigProject; run: ReportedRun }> {
  const planOf = (side: keyof Sides): Plan =>
    Object.fromEntries([...cases].map(([name, sides]) => [name, sides[side]]));
  const project = await rig.project();
  become(project.root, planOf('base'), rig.newDirectory('plan'));
  await using gate = await Gate.in(rig.directory);
  const change = becomeCommand(planOf('theirs'), rig.newDirectory('plan'));
  const started = startReported(project, `${change} && ${gate.command}`, {
    flags: ['--allow-mass-delete'],
  });
  await gate.arrived(started.running);
  become(project.root, planOf('mine'), rig.newDirectory('plan'));
  gate.open();
  return { project, run: await started.ended };
}

/** The project as the next command sees it, which is to be told of no change. */
async function asSeenNext(project: RigProject): Promise<unknown> {
  const next = await runReported(project, PRINT_FLAT_TREE);
  assert.deepEqual([next.code, next.changed, next.deleted], [0, [], []], next.stderr);
  return JSON.parse(next.text);
}

function withoutCopies(flat: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(flat).filter(([at]) => !at.includes('.rmtx-conflict-')));
}

test('whatever both sides make of a file, a directory or a link, neither loses anything', async () => {
  await using rig = new Rig();
  const cases = new Map<string, Sides>();
  const files = (side: string, name: string): State[] => [
    null,
    `${name}: file of ${side}`,
    { link: `link-of-${side}` },
    { tree: { child: `${name}: child of ${side}` } },
    { tree: { [`made-by-${side}`]: `${name}: new child of ${side}` } },
  ];
  for (let base = 0; base < 4; base++)
    for (let mine = -1; mine < 5; mine++)
      for (let theirs = -1; theirs < 5; theirs++) {
        const name = `case ${base} ${mine} ${theirs}`;
        const from = files('base', name)[base] ?? null;
        cases.set(name, {
          base: from,
          mine: mine < 0 ? from : (files('mine', name)[mine] ?? null),
          theirs: theirs < 0 ? from : (files('theirs', name)[theirs] ?? null),
        });
      }
  const { project, run } = await runWithEdits(rig, cases);
  assert.equal(run.code, 122, run.stderr);
  assert.deepEqual(run.problems, []);

  const after = flatTree(project.root);
  const copies = new Set(Object.values(run.conflicts));
  for (const [name, sides] of cases) {
    const [base, mine, theirs] = [sides.base, sides.mine, sides.theirs].map((state) =>
      flatten({ [name]: state }),
    ) as [Flat, Flat, Flat];
    const here = Object.fromEntries(
      Object.entries(after).filter(([at]) => at === name || at.startsWith(`${name}/`)),
    );
    const conflicts = Object.keys(run.conflicts).filter(
      (at) => at === name || at.startsWith(`${name}/`),
    );
    if (isSame(theirs, base)) assert.deepEqual([here, conflicts], [mine, []], name);
    else if (isSame(mine, base) || isSame(mine, theirs))
      assert.deepEqual([here, conflicts], [theirs, []], name);
    for (const [at, content] of Object.entries(mine))
      if (content !== '/' && base[at] !== content) assert.equal(here[at], content, `mine: ${at}`);
    for (const [at, content] of Object.entries(theirs)) {
      if (content === '/' || base[at] === content || here[at] === content) continue;
      const copy = run.conflicts[at];
      assert.ok(typeof copy === 'string', `theirs, lost: ${at}`);
      assert.ok(copy.includes(`.rmtx-conflict-${run.runId}`), copy);
      assert.equal(after[copy], content, copy);
    }
    for (const [at, content] of Object.entries(here)) {
      const isMeant = mine[at] === content || theirs[at] === content || content === '/';
      assert.ok(isMeant || copies.has(at), `out of nowhere: ${at}`);
      // What the run took away and is still here is here for a reason that was said.
      if (content !== '/' && theirs[at] === undefined && base[at] !== undefined)
        assert.ok(conflicts.length > 0, `not deleted, not said: ${at}`);
    }
  }
  assert.deepEqual(await asSeenNext(project), withoutCopies(after));
});

type Flat = Readonly<Record<string, string>>;

function isSame(a: Flat, b: Flat): boolean {
  const sorted = (flat: Flat): string => JSON.stringify(Object.entries(flat).sort());
  return sorted(a) === sorted(b);
}

/** The rows of the table in docs/sync-back.md that a plan can tell: what you did, what the run did. */
const documented: readonly (Sides & {
  readonly you: string;
  readonly run: string;
  /** What stands at `it` afterwards, and beside it. */
  readonly stays: State;
  readonly copies?: Flat;
  readonly isConflict?: true;
})[] = [
  { you: 'nothing', run: 'edited, made, deleted', base: 'a', mine: 'a', theirs: 'b', stays: 'b' },
  { you: 'anything', run: 'nothing', base: 'a', mine: 'b', theirs: 'a', stays: 'b' },
  {
    you: 'edited',
    run: 'edited, to the same content',
    ...{ base: 'a', mine: 'b', theirs: 'b', stays: 'b' },
  },
  {
    you: 'edited',
    run: 'edited, to other content',
    ...{ base: 'a', mine: 'b', theirs: 'c', stays: 'b', isConflict: true, copies: { it: 'c' } },
  },
  {
    you: 'made',
    run: 'made, with other content',
    ...{ base: null, mine: 'b', theirs: 'c', stays: 'b', isConflict: true, copies: { it: 'c' } },
  },
  {
    you: 'deleted',
    run: 'edited',
    ...{ base: 'a', mine: null, theirs: 'c', stays: null, isConflict: true, copies: { it: 'c' } },
  },
  {
    you: 'edited',
    run: 'deleted',
    ...{ base: 'a', mine: 'b', theirs: null, stays: 'b', isConflict: true },
  },
  { you: 'deleted', run: 'deleted', base: 'a', mine: null, theirs: null, stays: null },
  {
    you: 'made a directory of it, or a link',
    run: 'edited',
    base: 'a',
    mine: { tree: { in: 'b' } },
    theirs: 'c',
    stays: { tree: { in: 'b' } },
    isConflict: true,
    copies: { it: 'c' },
  },
  {
    you: 'edited',
    run: 'made a directory of it, or a link',
    base: 'a',
    mine: 'b',
    theirs: { link: 'there' },
    stays: 'b',
    isConflict: true,
    copies: { it: '-> there' },
  },
  {
    you: 'replaced a directory above it by a file or link',
    run: 'edited or made',
    base: { tree: { in: 'a' } },
    mine: 'b',
    theirs: { tree: { in: 'c', new: 'd' } },
    stays: 'b',
    isConflict: true,
    copies: { it: '/', 'it/in': 'c', 'it/new': 'd' },
  },
  {
    you: 'put other files into a directory',
    run: 'replaced the directory by a file',
    base: { tree: { in: 'a' } },
    mine: { tree: { in: 'a', other: 'b' } },
    theirs: 'c',
    stays: { tree: { other: 'b' } },
    isConflict: true,
    copies: { it: 'c' },
  },
  {
    you: 'put other files into a directory, or it has ignored ones',
    run: 'deleted the directory',
    base: { tree: { in: 'a' } },
    mine: { tree: { in: 'a', other: 'b' } },
    theirs: null,
    stays: { tree: { other: 'b' } },
  },
  {
    you: 'deleted a directory',
    run: 'made a new file in it',
    base: { tree: { in: 'a' } },
    mine: null,
    theirs: { tree: { in: 'a', new: 'c' } },
    stays: { tree: { new: 'c' } },
  },
];

interface Attributes {
  readonly mode?: number;
  readonly mtime?: number;
  readonly content?: string;
}

const TOUCHED = 1_500_000_000;

/** The rows about permissions and times of a file that has been `base`, 0644, from now. */
const documentedAttributes: readonly {
  readonly you: string;
  readonly run: string;
  /** Null: deleted it. */
  readonly mine: Attributes | null;
  readonly theirs: Attributes | null;
  readonly stays: Attributes | null;
  readonly isConflict?: true;
}[] = [
  {
    you: 'changed the permissions',
    run: 'edited',
    mine: { mode: 0o755 },
    theirs: { content: 'theirs' },
    stays: { mode: 0o755, content: 'theirs' },
  },
  {
    you: 'edited',
    run: 'changed the permissions',
    mine: { content: 'mine' },
    theirs: { mode: 0o755 },
    stays: { mode: 0o755, content: 'mine' },
  },
  {
    you: 'changed the permissions',
    run: 'changed them otherwise',
    mine: { mode: 0o600 },
    theirs: { mode: 0o755 },
    stays: { mode: 0o600 },
    isConflict: true,
  },
  {
    you: 'changed the permissions of a file',
    run: 'deleted it',
    mine: { mode: 0o600 },
    theirs: null,
    stays: { mode: 0o600 },
    isConflict: true,
  },
  {
    you: 'touched it (only the time is new)',
    run: 'anything',
    mine: { mtime: TOUCHED },
    theirs: null,
    stays: null,
  },
  {
    you: 'deleted',
    run: 'changed only permissions or time',
    mine: null,
    theirs: { mode: 0o600, mtime: TOUCHED },
    stays: null,
  },
];

function documentedRows(): { you: string; run: string; result: string }[] {
  return readFileSync(path.join(COMMANDS, '../../docs/sync-back.md'), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const cells = line.split('|').map((cell) => cell.trim());
      const [, you = '', run = '', result = ''] = cells;
      return cells.length === 5 ? [{ you, run, result }] : [];
    })
    .slice(2);
}

test('the table in docs/sync-back.md has the rows that are tested here, and no other', () => {
  const told = documentedRows().map(({ you, run, result }) => [
    you,
    run,
    result.startsWith('**conflict**'),
  ]);
  const tested = [...documented, ...documentedAttributes].map(({ you, run, isConflict }) => [
    you,
    run,
    isConflict === true,
  ]);
  assert.deepEqual(told.toSorted(), tested.toSorted());
});

test('each row about permissions and times in docs/sync-back.md is what happens', async () => {
  await using rig = new Rig();
  const project = await rig.project();
  const rows = [...documentedAttributes.entries()];
  for (const [name] of rows) {
    writeFileSync(project.path(`${name}`), 'base');
    chmodSync(project.path(`${name}`), 0o644);
  }
  await using gate = await Gate.in(rig.directory);
  const change = ({ mode, mtime, content }: Attributes): string[] => [
    ...(content === undefined ? [] : [`printf ${content} > "$file"`]),
    ...(mode === undefined ? [] : [`chmod ${mode.toString(8)} "$file"`]),
    ...(mtime === undefined ? [] : [`touch -d @${mtime} "$file"`]),
  ];
  const script = (side: 'mine' | 'theirs'): string =>
    rows
      .flatMap(([name, row]) => {
        const wanted = row[side];
        return [`file=${name}`, ...(wanted === null ? ['rm "$file"'] : change(wanted))];
      })
      .join(' && ');
  const started = startReported(project, `${script('theirs')} && ${gate.command}`);
  await gate.arrived(started.running);
  assert.equal(spawnSync('sh', ['-c', script('mine')], { cwd: project.root }).status, 0);
  gate.open();
  const run = await started.ended;
  assert.equal(run.code, 122, run.stderr);
  for (const [name, row] of rows) {
    const title = `${row.you} × ${row.run}`;
    assert.equal(run.conflicts[`${name}`] !== undefined, row.isConflict === true, title);
    if (row.stays === null) {
      assert.ok(!project.has(`${name}`), title);
      continue;
    }
    const file = project.path(`${name}`);
    const { mode = 0o644, content = 'base' } = row.stays;
    const found = [statSync(file).mode & 0o777, readFileSync(file, 'utf8')];
    assert.deepEqual(found, [mode, content], title);
  }
});

test('each row about content in docs/sync-back.md is what happens', async () => {
  await using rig = new Rig();
  const cases = new Map(documented.map((row, number) => [`${number}`, row] as const));
  const { project, run } = await runWithEdits(
    rig,
    new Map([...cases].map(([name, { base, mine, theirs }]) => [name, asTree(base, mine, theirs)])),
  );
  const after = flatTree(project.root);
  for (const [name, row] of cases) {
    const title = `${row.you} × ${row.run}`;
    const isSaid = Object.keys(run.conflicts).some((at) => at.startsWith(`${name}/`));
    assert.equal(isSaid, row.isConflict === true, title);
    const mark = `.rmtx-conflict-${run.runId}`;
    const copies = Object.entries(row.copies ?? {}).map(([at, content]) => [
      `${name}/${at.replace(/^it/, `it${mark}`)}`,
      content,
    ]);
    const wanted = {
      [name]: '/',
      ...flatten({ it: row.stays }, `${name}/`),
      ...(Object.fromEntries(copies) as Flat),
    };
    const found = Object.entries(after).filter(([at]) => at === name || at.startsWith(`${name}/`));
    assert.deepEqual(Object.fromEntries(found), wanted, title);
  }
});

function asTree(base: State, mine: State, theirs: State): Sides {
  return {
    base: { tree: { it: base } },
    mine: { tree: { it: mine } },
    theirs: { tree: { it: theirs } },
  };
}
