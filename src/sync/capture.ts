/**
 * What a command changed in its workspace, captured so that the workspace need not wait for the client:
 * content that is new is copied into the blob store. No content is read of what has its signature.
 *
 * What differs and may not be sent home stays in the manifest as it was, without a signature: whoever
 * materializes next puts it back.
 */
import type { Stats } from 'node:fs';
import { systemErrorCode } from '../errors.js';
import type { BlobStore } from '../store/blob-store.js';
import { nowUs, toTimeUs } from '../util/microseconds.js';
import { captureFile } from './capture-file.js';
import type { CapturedContent } from './capture-file.js';
import { DELETED, LOST, applyFates } from './capture-fates.js';
import type { Fate } from './capture-fates.js';
import type { EntryTable } from './entry-table.js';
import { isWithin, sameEntry, topmost } from './entry.js';
import type { Problem, WorkspacePath } from './entry.js';
import { isGone, specialFileProblem, toLinkEntry, unreadableProblem } from './fresh-entry.js';
import type { FreshEntry } from './fresh-entry.js';
import { NewPaths, toPresentDirectory } from './new-paths.js';
import type { IgnoredLeftovers } from './new-paths.js';
import { RefusedChanges } from './refused-changes.js';
import type { WorkspaceFiles } from './workspace-files.js';
import { GITIGNORE_NAME } from './workspace-rules.js';
import type { WorkspaceRules } from './workspace-rules.js';
import { scanWorkspace, settleRacy } from './workspace-scan.js';
import type { DiskState, Finding, WorkspaceScan } from './workspace-scan.js';

export interface CaptureOptions {
  readonly files: WorkspaceFiles;
  /** The manifest that the command saw, every row with a signature. */
  readonly table: EntryTable;
  /** What the workspace held before that: a file that is kept from run to run need not be read again. */
  readonly earlier: EntryTable;
  readonly rules: WorkspaceRules;
  readonly store: BlobStore;
  /** Host clock minus client clock. */
  readonly clockOffsetUs: number;
  /** Host clock at the start: a later time was made by this host's clock. */
  readonly startedUs: number;
  readonly wantsSyncBack: boolean;
}

export interface Capture {
  /** The manifest with the changes applied, which is the next base, and what is beside it. */
  readonly disk: DiskState;
  /** That, and what comes home only because `sync_back` names it: the next run does not start with it. */
  readonly sent: EntryTable;
  readonly problems: readonly Problem[];
  readonly ignored: IgnoredLeftovers | undefined;
}

export function captureChanges(options: CaptureOptions): Capture {
  return new Capturer(options).run();
}

class Capturer {
  readonly #options: CaptureOptions;
  readonly #fates = new Map<number, Fate>();
  readonly #problems: Problem[] = [];
  /** Paths of rows at which something else is than will be. */
  readonly #strangers: WorkspacePath[] = [];
  readonly #newPaths: NewPaths;
  readonly #refused: RefusedChanges;

  constructor(options: CaptureOptions) {
    this.#options = options;
    const { files, rules, wantsSyncBack } = options;
    const read = this.#readNew.bind(this);
    this.#refused = new RefusedChanges(rules);
    this.#newPaths = new NewPaths({ files, rules, wantsSyncBack, read, refused: this.#refused });
  }

  run(): Capture {
    const { files, table, rules } = this.#options;
    const scan = scanWorkspace(files, table);
    for (const { path, stats } of scan.findings)
      if (isGitignore(path) && stats.isFile()) this.#newPaths.readGitignore(path);
    this.#judgeMissing(scan);
    for (const finding of scan.findings) {
      if (finding.row >= 0) this.#judgeRow(finding);
      else this.#newPaths.discover(finding.path, finding.stats);
    }
    this.#keepNeededDirectories();
    files.closeDirectories();
    const { entries, leftovers } = this.#newPaths;
    const isInManifest = ({ entry }: FreshEntry): boolean =>
      rules.isInManifest(entry.path, { isDirectory: entry.kind === 'directory' });
    const beside = entries.filter((fresh) => !isInManifest(fresh));
    const next = applyFates(table, this.#fates, entries.filter(isInManifest));
    return {
      disk: {
        table: next,
        strangers: topmost([
          ...this.#strangers,
          ...leftovers,
          ...beside.map(({ entry }) => entry.path),
        ]),
      },
      sent: beside.length === 0 ? next : applyFates(table, this.#fates, entries),
      problems: [
        ...this.#problems,
        ...this.#newPaths.problems,
        ...(this.#options.wantsSyncBack ? this.#refused.problems : []),
      ],
      ignored: this.#newPaths.ignored,
    };
  }

  #judgeMissing(scan: WorkspaceScan): void {
    const { table } = this.#options;
    for (const { path, error } of scan.unreadable)
      this.#problems.push(unreadableProblem(path, error));
    for (const row of scan.missing) {
      const path = table.path(row);
      // What we only cannot see must not be deleted at the client.
      const isHidden = scan.unreadable.some((hidden) => isWithin(path, hidden.path));
      const isDirectory = table.kind(row) === 'directory';
      const mayGo = !isHidden && this.#maySend(path, isDirectory);
      if (!isHidden && !mayGo) this.#refused.note(path, { isDirectory });
      this.#fates.set(row, mayGo ? DELETED : LOST);
    }
  }

  #judgeRow(finding: Finding): void {
    const { table, files } = this.#options;
    const { path, row, stats } = finding;
    const settled = this.#attempt(path, () => settleRacy(files, table, finding));
    if (settled !== undefined) {
      this.#fates.set(row, { kind: 'same', signature: settled });
      return;
    }
    const isDirectory = stats.isDirectory();
    const mayBeSent = this.#maySend(path, isDirectory);
    const fresh = mayBeSent ? this.#attempt(path, () => this.#readAgain(finding)) : undefined;
    const known = table.entry(row);
    if (fresh === undefined) {
      this.#fates.set(row, LOST);
      this.#refused.note(path, { isDirectory });
      // A directory with another mode was entered, so nothing in it is strange.
      if (!(isDirectory && known.kind === 'directory')) this.#strangers.push(path);
    } else if (sameEntry(fresh.entry, known)) {
      const { signature } = fresh;
      this.#fates.set(row, signature === undefined ? LOST : { kind: 'same', signature });
    } else {
      this.#fates.set(row, { kind: 'changed', fresh });
      if (isDirectory && known.kind !== 'directory') this.#newPaths.discoverChildren(path);
    }
  }

  /** What is at a row's path now. Undefined where it cannot be an entry, which is said. */
  #readAgain({ path, row, stats }: Finding): FreshEntry | undefined {
    const { table } = this.#options;
    if (stats.isDirectory()) return toPresentDirectory(path, stats);
    if (stats.isSymbolicLink()) return this.#readLink(path, stats);
    if (!stats.isFile()) {
      this.#problems.push(specialFileProblem(path, stats));
      return undefined;
    }
    const isKnown = table.kind(row) === 'file';
    const known = isKnown ? { digest: table.digest(row), size: table.size(row) } : undefined;
    const captured = captureFile(this.#options, path, known);
    if (captured === undefined) return undefined;
    // A time that did not move is the one the client gave, whatever it is on this host.
    const isTimeKept = isKnown && captured.signature.mtimeUs === table.signature(row)?.mtimeUs;
    const mtimeUs = isTimeKept ? table.mtimeUs(row) : this.#timeAtHome(captured.signature.mtimeUs);
    return this.#toFile({ path, stats, mtimeUs }, captured);
  }

  #readNew(path: WorkspacePath, stats: Stats): FreshEntry | undefined {
    if (stats.isSymbolicLink()) return this.#readLink(path, stats);
    const { earlier, store } = this.#options;
    const row = earlier.indexOf(path);
    if (row >= 0 && earlier.kind(row) === 'file' && earlier.matches(row, stats)) {
      const signature = earlier.signature(row);
      if (store.has(earlier.digest(row), earlier.size(row)))
        return { entry: earlier.entry(row), signature };
    }
    const captured = captureFile(this.#options, path);
    if (captured === undefined) return undefined;
    const mtimeUs = this.#timeAtHome(captured.signature.mtimeUs);
    return this.#toFile({ path, stats, mtimeUs }, captured);
  }

  /**
   * A file with several names is sent home as several files, so here it has to become several, too: without
   * a signature each is made one of its own.
   */
  #toFile(
    file: { readonly path: WorkspacePath; readonly stats: Stats; readonly mtimeUs: number },
    { digest, size, signature }: CapturedContent,
  ): FreshEntry {
    const { path, stats, mtimeUs } = file;
    const entry = { kind: 'file', path, mode: stats.mode & 0o777, size, mtimeUs, digest } as const;
    if (stats.nlink === 1) return { entry, signature };
    this.#strangers.push(path);
    return { entry, signature: undefined };
  }

  #readLink(path: WorkspacePath, stats: Stats): FreshEntry {
    const clockUs = nowUs();
    return toLinkEntry(path, { target: this.#options.files.readTarget(path), stats, clockUs });
  }

  /** Times that this host's clock made are told in the client's; others came from somewhere else. */
  #timeAtHome(mtimeUs: number): number {
    const { startedUs, clockOffsetUs } = this.#options;
    const shifted = mtimeUs >= startedUs ? mtimeUs - Math.round(clockOffsetUs) : mtimeUs;
    return toTimeUs(shifted);
  }

  #maySend(path: string, isDirectory: boolean): boolean {
    return this.#options.wantsSyncBack && this.#options.rules.isSentEligible(path, { isDirectory });
  }

  /**
   * A directory in which something stays cannot go, nor become something else: what stays would be in
   * nothing. From the last row on, so that one that stays keeps those above it.
   */
  #keepNeededDirectories(): void {
    const { table } = this.#options;
    const rows = [...this.#fates.keys()].sort((a, b) => b - a);
    for (const row of rows) {
      if (table.kind(row) !== 'directory' || !this.#isLeaving(row)) continue;
      const path = table.path(row);
      for (let below = row + 1; below < table.length; below++) {
        if (!isWithin(table.path(below), path)) break;
        if (this.#fates.get(below) === DELETED) continue;
        if (this.#fates.get(row) !== DELETED) this.#strangers.push(path);
        this.#fates.set(row, LOST);
        break;
      }
    }
  }

  #isLeaving(row: number): boolean {
    const fate = this.#fates.get(row);
    return fate === DELETED || (fate?.kind === 'changed' && fate.fresh.entry.kind !== 'directory');
  }

  #attempt<T>(path: WorkspacePath, look: () => T | undefined): T | undefined {
    try {
      return look();
    } catch (error) {
      if (isGone(error)) return undefined;
      const code = systemErrorCode(error);
      if (code !== 'EACCES' && code !== 'EPERM') throw error;
      this.#problems.push(unreadableProblem(path, error));
      return undefined;
    }
  }
}

function isGitignore(path: string): boolean {
  return path === GITIGNORE_NAME || path.endsWith(`/${GITIGNORE_NAME}`);
}
