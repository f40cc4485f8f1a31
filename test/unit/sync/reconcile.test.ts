import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { hashBytes, toDigest } from '../../../src/store/digest.js';
import type { Entry, WorkspacePath } from '../../../src/sync/entry.js';
import { hasSameContent, reconcile } from '../../../src/sync/reconcile.js';
import type { Decision, LocalState } from '../../../src/sync/reconcile.js';

/**
 * Versions of a path in a few letters. `f1` is a file with content 1, mode 644 and the time of all;
 * a `+` behind it is mode 755, a `-` mode 600, a `t` a later time. `d` is a directory, `l1` a link with
 * target 1, `.` nothing, `s` a socket, `f?` a file whose content was not read because its size is new.
 */
type Version = string;

const PATH = 'a/b' as WorkspacePath;

function local(version: Version): LocalState {
  const [kind = '', content = ''] = version;
  const mode = modeOf(version);
  if (kind === '.') return { kind: 'absent' };
  if (kind === 's') return { kind: 'special' };
  if (kind === 'd') return { kind: 'directory', mode };
  if (kind === 'l') return { kind: 'symlink', target: content };
  const digest = content === '?' ? undefined : toDigest(hashBytes(Buffer.from(content)));
  return { kind: 'file', mode, size: 1, mtimeUs: version.includes('t') ? 2000 : 1000, digest };
}

function modeOf(version: Version): number {
  if (version.includes('+')) return 0o755;
  if (version.includes('-')) return 0o600;
  return version.startsWith('d') ? 0o775 : 0o644;
}

function entry(version: Version): Entry | undefined {
  const state = local(version);
  if (state.kind === 'absent' || state.kind === 'special') return undefined;
  return { ...state, path: PATH } as Entry;
}

function shown(decision: Decision): string {
  switch (decision.action) {
    case 'write':
      return `write ${versionOf(decision.entry)}`;
    case 'attributes':
      return `set ${decision.mode.toString(8)}${decision.mtimeUs === undefined ? '' : ' t'}`;
    case 'conflict': {
      const copy = decision.copy === undefined ? '' : ` ${versionOf(decision.copy)}`;
      return `! ${decision.kind}${copy}`;
    }
    case 'keep':
    case 'delete':
      return decision.action;
  }
}

function versionOf(entry: Entry): Version {
  for (const version of everyVersion) if (isDeepEqual(local(version), entry)) return version;
  return '(unknown)';
}

function isDeepEqual(state: LocalState, entry: Entry): boolean {
  return isDeepStrictEqual({ ...state, path: PATH }, entry);
}

const everyVersion: Version[] = [
  ...['f1', 'f1+', 'f1-', 'f1t', 'f1+t', 'f1-t', 'f2', 'f2+', 'f2-', 'f2t', 'f2+t', 'f3', 'f3t'],
  ...['d', 'd+', 'd-', 'l1', 'l2', 'l3', '.'],
];

interface Matrix {
  readonly base: Version;
  readonly theirs: readonly Version[];
  /** For each version here, what happens for each of theirs. */
  readonly rows: Readonly<Record<Version, readonly string[]>>;
}

const keep = 'keep';

const matrices: Matrix[] = [
  {
    base: 'f1',
    theirs: ['f1', 'f1+', 'f1t', 'f2', 'f2+', '.', 'd', 'l1'],
    rows: {
      f1: [keep, 'set 755', 'set 644 t', 'write f2', 'write f2+', 'delete', 'write d', 'write l1'],
      f1t: [keep, 'set 755', keep, 'write f2', 'write f2+', 'delete', 'write d', 'write l1'],
      'f1+': [
        ...[keep, keep, 'set 755 t', 'write f2+', 'write f2+'],
        ...['! deleted-there', 'write d', 'write l1'],
      ],
      'f1-': [
        ...[keep, '! mode-differs', 'set 600 t', 'write f2-', '! edited-both f2+'],
        ...['! deleted-there', 'write d', 'write l1'],
      ],
      f2: [
        keep,
        'set 755',
        keep,
        keep,
        'set 755',
        '! deleted-there',
        '! kind-differs d',
        '! kind-differs l1',
      ],
      f3: [
        ...[keep, 'set 755', keep, '! edited-both f2', '! edited-both f2+'],
        ...['! deleted-there', '! kind-differs d', '! kind-differs l1'],
      ],
      'f3-': [
        ...[keep, '! mode-differs', keep, '! edited-both f2', '! edited-both f2+'],
        ...['! deleted-there', '! kind-differs d', '! kind-differs l1'],
      ],
      'f?': [
        ...[keep, 'set 755', keep, '! edited-both f2', '! edited-both f2+'],
        ...['! deleted-there', '! kind-differs d', '! kind-differs l1'],
      ],
      '.': [
        keep,
        keep,
        keep,
        '! deleted-here f2',
        '! deleted-here f2+',
        keep,
        'write d',
        '! deleted-here l1',
      ],
      d: [
        ...[keep, keep, keep, '! kind-differs f2', '! kind-differs f2+'],
        ...['! deleted-there', keep, '! kind-differs l1'],
      ],
      l1: [
        ...[keep, keep, keep, '! kind-differs f2', '! kind-differs f2+'],
        ...['! deleted-there', '! kind-differs d', keep],
      ],
      l2: [
        ...[keep, keep, keep, '! kind-differs f2', '! kind-differs f2+'],
        ...['! deleted-there', '! kind-differs d', '! created-both l1'],
      ],
      s: [
        ...[keep, keep, keep, '! kind-differs f2', '! kind-differs f2+'],
        ...['! deleted-there', '! kind-differs d', '! kind-differs l1'],
      ],
    },
  },
  {
    base: 'd',
    theirs: ['d', 'd+', '.', 'f1', 'l1'],
    rows: {
      d: [keep, 'set 755', 'delete', 'write f1', 'write l1'],
      'd+': [keep, keep, 'delete', 'write f1', 'write l1'],
      'd-': [keep, '! mode-differs', 'delete', 'write f1', 'write l1'],
      '.': [keep, keep, keep, '! deleted-here f1', '! deleted-here l1'],
      f1: [keep, keep, '! deleted-there', keep, '! kind-differs l1'],
      f2: [keep, keep, '! deleted-there', '! created-both f1', '! kind-differs l1'],
      l1: [keep, keep, '! deleted-there', '! kind-differs f1', keep],
      l2: [keep, keep, '! deleted-there', '! kind-differs f1', '! created-both l1'],
      s: [keep, keep, '! deleted-there', '! kind-differs f1', '! kind-differs l1'],
    },
  },
  {
    base: 'l1',
    theirs: ['l1', 'l2', '.', 'f1', 'd'],
    rows: {
      l1: [keep, 'write l2', 'delete', 'write f1', 'write d'],
      l2: [keep, keep, '! deleted-there', '! kind-differs f1', '! kind-differs d'],
      l3: [keep, '! edited-both l2', '! deleted-there', '! kind-differs f1', '! kind-differs d'],
      '.': [keep, '! deleted-here l2', keep, '! deleted-here f1', 'write d'],
      f1: [keep, '! kind-differs l2', '! deleted-there', keep, '! kind-differs d'],
      f2: [keep, '! kind-differs l2', '! deleted-there', '! created-both f1', '! kind-differs d'],
      d: [keep, '! kind-differs l2', '! deleted-there', '! kind-differs f1', keep],
      s: [keep, '! kind-differs l2', '! deleted-there', '! kind-differs f1', '! kind-differs d'],
    },
  },
  {
    base: '.',
    theirs: ['f1', 'd', 'l1', '.'],
    rows: {
      '.': ['write f1', 'write d', 'write l1', keep],
      f1: [keep, '! kind-differs d', '! kind-differs l1', keep],
      'f1+': [keep, '! kind-differs d', '! kind-differs l1', keep],
      f1t: [keep, '! kind-differs d', '! kind-differs l1', keep],
      f2: ['! created-both f1', '! kind-differs d', '! kind-differs l1', keep],
      'f?': ['! created-both f1', '! kind-differs d', '! kind-differs l1', keep],
      d: ['! kind-differs f1', keep, '! kind-differs l1', keep],
      'd+': ['! kind-differs f1', keep, '! kind-differs l1', keep],
      l1: ['! kind-differs f1', '! kind-differs d', keep, keep],
      l2: ['! kind-differs f1', '! kind-differs d', '! created-both l1', keep],
      s: ['! kind-differs f1', '! kind-differs d', '! kind-differs l1', keep],
    },
  },
];

for (const { base, theirs, rows } of matrices)
  describe(`from ${base}`, () => {
    for (const [mine, expected] of Object.entries(rows))
      for (const [column, version] of theirs.entries())
        test(`here ${mine}, there ${version}: ${expected[column] ?? ''}`, () => {
          const versions = { base: entry(base), theirs: entry(version), mine: local(mine) };
          assert.equal(shown(reconcile(versions)), expected[column]);
        });
  });

test('the mode of one side and the content of the other come together', () => {
  const decision = reconcile({ base: entry('f1'), theirs: entry('f2t'), mine: local('f1+') });
  assert.equal(shown(decision), 'write f2+t');
});

test('a time alone never brings a conflict, and never undoes a later one here', () => {
  for (const mine of ['f1', 'f1t', 'f2', 'f2t', '.'])
    for (const theirs of ['f1', 'f1t'])
      assert.notEqual(
        reconcile({ base: entry('f1'), theirs: entry(theirs), mine: local(mine) }).action,
        'conflict',
      );
});

const versionArbitrary = fc.constantFrom(...everyVersion);

test('what only mine has is neither overwritten nor deleted', () => {
  fc.assert(
    fc.property(versionArbitrary, versionArbitrary, versionArbitrary, (b, t, m) => {
      const [base, theirs, mine] = [entry(b), entry(t), local(m)];
      const { action } = reconcile({ base, theirs, mine });
      if (action !== 'write' && action !== 'delete') return true;
      return mine.kind === 'absent' || (base !== undefined && hasSameContent(mine, base));
    }),
    { numRuns: 2000 },
  );
});

test('what only theirs has is written, or said to be in conflict', () => {
  fc.assert(
    fc.property(versionArbitrary, versionArbitrary, versionArbitrary, (b, t, m) => {
      const [base, theirs, mine] = [entry(b), entry(t), local(m)];
      if (theirs === undefined || theirs.kind === 'directory') return true;
      if (base !== undefined && hasSameContent(theirs, base)) return true;
      if (hasSameContent(mine, theirs)) return true;
      const decision = reconcile({ base, theirs, mine });
      if (decision.action === 'conflict') return decision.copy !== undefined;
      return decision.action === 'write';
    }),
    { numRuns: 2000 },
  );
});
