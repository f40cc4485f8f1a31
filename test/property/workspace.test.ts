import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { WorkspaceSession } from '../../src/host/workspace-session.js';
import type { EntryTable } from '../../src/sync/entry-table.js';
import { comparePaths, isWithin } from '../../src/sync/entry.js';
import { validateTable } from '../../src/sync/table-changes.js';
import { pathFromBytes } from '../../src/util/path-bytes.js';
import { digestOf } from '../support/blob-places.js';
import { entriesOfTree, operateOnDisk, operateOnTree, readTree } from '../support/disk-tree.js';
import type { Node, Tree, TreeOperation } from '../support/disk-tree.js';
import { entriesOf } from '../support/entries.js';
import { SlotRig, applyChanges } from '../support/slot-rig.js';

const OLD = 1_600_000_000_000_000;
const names = ['a', 'b', 'a.b', 'ü', ' s', pathFromBytes(Buffer.from([0x66, 0xff]))];
const nameArbitrary = fc.constantFrom(...names);
const pathArbitrary = fc
  .array(nameArbitrary, { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));
/** Only root can look into a closed directory to see whether it is right. */
const isRoot = process.getuid?.() === 0;
const fileMode = fc.constantFrom(0o644, 0o755, ...(isRoot ? [0o444, 0o200, 0o000] : []));
const directoryMode = fc.constantFrom(0o755, 0o700, ...(isRoot ? [0o555, 0o500, 0o000] : []));
const bytesArbitrary = fc.constantFrom('', 'one', 'two', 'three'.repeat(50));

const operationArbitrary: fc.Arbitrary<TreeOperation> = fc.oneof(
  { weight: 4, arbitrary: op('write', { bytes: bytesArbitrary, mode: fileMode }) },
  { weight: 2, arbitrary: op('remove', {}) },
  { weight: 2, arbitrary: op('mkdir', { mode: directoryMode }) },
  { weight: 2, arbitrary: op('symlink', { target: fc.constantFrom('a', '../..', '/etc', 'ü') }) },
  op('overwrite', {}),
  op('chmod', { mode: directoryMode }),
  op('touch', { mtimeUs: fc.constantFrom(OLD, OLD + 5, OLD * 2) }),
  op('rename', { to: pathArbitrary }),
  op('link', { to: pathArbitrary }),
) as fc.Arbitrary<TreeOperation>;

function op(what: string, more: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  return fc.record({ what: fc.constant(what), path: pathArbitrary, ...more });
}

const operationsArbitrary = fc.array(operationArbitrary, { maxLength: 8 });
const stops = [
  'verify',
  'announce',
  'prepare',
  'half',
  'materialize',
  'command',
  'collect',
] as const;
/** What the project was when it was sent ahead, and how much of that arrives. */
const aheadArbitrary = fc.record({
  differences: operationsArbitrary,
  share: fc.constantFrom(1, 1, 0.5, 0.1),
});
const generationArbitrary = fc.record({
  ahead: fc.option(aheadArbitrary, { nil: undefined }),
  client: operationsArbitrary,
  command: operationsArbitrary,
  hasBase: fc.boolean(),
  end: fc.constantFrom('acknowledge', 'acknowledge', 'restore', ...stops),
});
type AheadFiles = typeof aheadArbitrary extends fc.Arbitrary<infer T> ? T : never;
type Generation = typeof generationArbitrary extends fc.Arbitrary<infer T> ? T : never;

describe('a workspace', () => {
  test('is exactly the manifest at every run, whatever clients, commands and crashes did before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(generationArbitrary, { minLength: 1, maxLength: 4 }),
        async (all) => {
          using rig = new SlotRig();
          const life = new Life(rig);
          for (const generation of all) await life.live(generation);
        },
      ),
      { numRuns: Number(process.env['RMTX_PROPERTY_RUNS'] ?? 100), includeErrorInReport: true },
    );
  });
});

/** One client and its slot, run after run. */
class Life {
  readonly #rig: SlotRig;
  /** The client's project. */
  #tree: Tree = new Map();
  /** What both sides have agreed on. */
  #base: EntryTable | undefined;
  /** What was on disk after the last acknowledge, and what the client had there. */
  #settled = new Map<string, { node: Node; was: Node | undefined }>();

  constructor(rig: SlotRig) {
    this.#rig = rig;
  }

  async live({ ahead, client, command, hasBase, end }: Generation): Promise<void> {
    const rig = this.#rig;
    for (const operation of client) operateOnTree(this.#tree, operation, OLD + 1000);
    const next = rig.manifestOf(this.#tree);
    using session = rig.open();
    const { manifestId, isEmpty } = session.verify();
    const base = hasBase && manifestId === this.#base?.manifestId ? this.#base : undefined;
    if (end === 'verify') return;
    if (ahead !== undefined && isEmpty && !(await this.#sendAhead(session, ahead))) return;
    const requests = rig.announce(session, next, base === undefined ? {} : { base });
    if (end === 'announce') return;
    session.prepare();
    if (end === 'prepare') return;
    if (end === 'half') {
      const blobs = await rig.answer(requests);
      if (blobs.length > 0) session.pushBlobs(blobs.subarray(0, blobs.length / 2));
      return;
    }
    if (requests.length > 0) assert.deepEqual(await rig.serve(session, requests), []);
    session.materialize();
    session.saveIndex();
    const before = readTree(rig.workspace);
    assertExact(before, this.#tree);
    this.#assertUntouched(before);
    this.#settled = new Map();
    this.#base = next;
    if (end === 'materialize') return;

    mkdirSync(path.join(rig.workspace, 'kept', 'deep'), { recursive: true });
    writeFileSync(path.join(rig.workspace, 'kept', 'deep', 'file'), 'kept');
    mkdirSync(path.join(rig.workspace, 'ignored'), { recursive: true });
    writeFileSync(path.join(rig.workspace, 'ignored', 'left'), 'over');
    for (const operation of command) operateOnDisk(rig.workspace, operation);
    if (end === 'command') return;

    const summary = rig.collect(session);
    const found = readTree(rig.workspace);
    const after = inClientTimes(found, before, this.#tree);
    const merged = applyChanges(next, readFileSync(rig.changeSetFile));
    validateTable(merged);
    assert.equal(merged.manifestId, summary.manifestId);
    const synced = entriesOfTree(after).filter((entry) => isSynced(entry.path));
    assert.deepEqual(entriesOf(merged), synced);
    assert.deepEqual(summary.problems, []);
    if (end === 'collect') return;
    if (end === 'restore') {
      session.restore();
      assertNothingElse(readTree(rig.workspace), this.#tree);
      return;
    }
    session.acknowledge();
    this.#base = merged;
    this.#tree = ownTree(after);
    const settled = readTree(rig.workspace);
    assertExact(settled, this.#tree);
    assertSameFiles(settled, found);
    this.#settled = new Map(
      [...settled].map(([found, node]) => [found, { node, was: this.#tree.get(found) }]),
    );
    assert.ok(!settled.has('ignored'));
    assert.equal(readFileSync(path.join(rig.workspace, 'kept', 'deep', 'file'), 'utf8'), 'kept');
    assert.deepEqual(readdirSync(rig.options.slotDirectory).sort(), ['index', 'last-run']);
  }

  /** Returns whether all of it arrived. */
  async #sendAhead(
    session: WorkspaceSession,
    { differences, share }: AheadFiles,
  ): Promise<boolean> {
    const before: Tree = new Map(this.#tree);
    for (const operation of differences) operateOnTree(before, operation, OLD + 500);
    const data = await this.#rig.ahead(before);
    assert.ok(session.offerEntriesAhead([digestOf('of another file')]));
    session.pushBlobs(Uint8Array.from(data.subarray(0, data.length * share)));
    return share === 1;
  }

  /** Builds go by inode and time: what nobody changed since the last run still has both. */
  #assertUntouched(disk: Tree): void {
    for (const [found, { node, was }] of this.#settled) {
      const isSame = isDeepStrictEqual(this.#tree.get(found), was);
      if (isSame && node.kind === 'file') assert.deepEqual(disk.get(found), node, found);
    }
  }
}

/** What the client has after it applied the changes. */
function ownTree(disk: Tree): Tree {
  const own: Tree = new Map();
  for (const [at, node] of disk) {
    if (!isSynced(at)) continue;
    if (node.kind !== 'file') own.set(at, node);
    else own.set(at, { kind: 'file', bytes: node.bytes, mode: node.mode, mtimeUs: node.mtimeUs });
  }
  return own;
}

function isSynced(found: string): boolean {
  return !isWithin(found, 'kept') && !isWithin(found, 'ignored');
}

function assertExact(disk: Tree, tree: Tree): void {
  assert.deepEqual(withoutTimes(disk), withoutTimes(tree));
}

/** Files may be missing whose content was nowhere to be had. */
function assertNothingElse(disk: Tree, tree: Tree): void {
  const [found, wanted] = [withoutTimes(disk), withoutTimes(tree)];
  for (const [at, node] of Object.entries(found)) assert.deepEqual(node, wanted[at], at);
  for (const [at, node] of tree) if (node.kind !== 'file') assert.ok(at in found, at);
}

function withoutTimes(tree: Tree): Record<string, unknown> {
  const sorted = [...tree].filter(([at]) => isSynced(at)).sort((a, b) => comparePaths(a[0], b[0]));
  return Object.fromEntries(
    sorted.map(([at, node]) =>
      node.kind === 'file' ? [at, [node.kind, node.bytes, node.mode]] : [at, Object.values(node)],
    ),
  );
}

/** What stays is still the same file, but for one with several names: that has become several. */
function assertSameFiles(disk: Tree, before: Tree): void {
  for (const [at, node] of before) {
    const now = disk.get(at);
    if (node.kind !== 'file' || now?.kind !== 'file' || !isSynced(at)) continue;
    if (node.nlink === 1) assert.equal(now.ino, node.ino, at);
    assert.equal(now.nlink, 1, at);
    assert.equal(now.mtimeUs, node.mtimeUs, at);
  }
}

/** The tree as the client sees it: a time that did not move on the host is the client's own. */
function inClientTimes(after: Tree, before: Tree, client: Tree): Tree {
  return new Map(
    [...after].map(([at, node]) => {
      const [was, own] = [before.get(at), client.get(at)];
      const isKept =
        node.kind === 'file' &&
        was?.kind === 'file' &&
        own?.kind === 'file' &&
        was.mtimeUs === node.mtimeUs;
      return [at, isKept ? { ...node, mtimeUs: own.mtimeUs } : node];
    }),
  );
}
