/**
 * Scans a project into a manifest. A scan in which nothing is new costs one listing a directory and one
 * lstat a path: contents are read only where the previous scan's signature does not match, and rules are
 * asked only about names that it did not judge.
 *
 * Walking uses plain lstat: a link swapped in meanwhile can at worst give a wrong signature, which the
 * next scan finds. Contents are read through the anchored root, which follows no link.
 */
import { lstatSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { RmtxError } from '../errors.js';
import { nowUs } from '../util/microseconds.js';
import { toFsPath } from '../util/path-bytes.js';
import { printable } from '../util/printable.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import { runInSlices } from '../util/slices.js';
import type { Steps } from '../util/slices.js';
import { EntryTable } from './entry-table.js';
import type { EntriesAhead } from './ahead-entries.js';
import type { Problem, WorkspacePath } from './entry.js';
import {
  isGone,
  readLink,
  specialFileProblem,
  toFileEntry,
  toLinkEntry,
  unreadableProblem,
} from './fresh-entry.js';
import { GitignoreFinder } from './gitignore-finder.js';
import { hashFileInSteps } from './hash-file.js';
import type { KeptContents } from './kept-contents.js';
import { LargeFiles } from './large-files.js';
import type { LargeFileReader } from './large-files.js';
import { LeftOut } from './left-out.js';
import type { LeftOutNames } from './left-out.js';
import { checkMounts, namesTowardMounts } from './mount-paths.js';
import type { RuleSources } from './rule-sources.js';
import { SyncRules } from './rules.js';
import { hasSameBase } from './scan-state.js';
import type { ScanState } from './scan-state.js';
import { TableRewriter } from './table-rewriter.js';
import { UntouchedFiles } from './untouched-files.js';
import { listDirectory } from './walk.js';
import { isOfKind } from './walk.js';
import type { NameKind } from './walk.js';

export interface ScanOptions {
  readonly root: AnchoredRoot;
  /** Without the .gitignore files of the tree itself: the walk finds those. */
  readonly rules: RuleSources;
  readonly previous?: ScanState | undefined;
  /** Gets the small files that are read. */
  readonly kept?: KeptContents | undefined;
  /** Gets what is found where there is no previous scan. */
  readonly entriesAhead?: EntriesAhead | undefined;
  /** Reads large files that the previous scan did not have; without it they are hashed like the others. */
  readonly largeFiles?: LargeFileReader | undefined;
  /** Told how many paths were visited, every 100 ms at most. */
  readonly onProgress?: (paths: number) => void;
  readonly abortSignal?: AbortSignal | undefined;
}

export interface ScanResult extends ScanState {
  readonly rules: RuleSources;
  readonly problems: readonly Problem[];
  /** The state differs from the previous one and is worth saving. */
  readonly hasChanged: boolean;
  readonly filesHashed: number;
  readonly bytesHashed: number;
}

const PROGRESS_MS = 100;
/** Paths between two looks at the clock. */
const STEP_PATHS = 32;

/**
 * Scans in slices of about 10 ms; listing one directory is never cut. Throws MOUNT_MISSING, and the
 * system error where the root itself cannot be listed; trouble with single paths is in `problems`.
 * Nobody else may use the root meanwhile.
 */
export async function scanProject(options: ScanOptions): Promise<ScanResult> {
  const scan = new Scan(options);
  let nextReport = performance.now() + PROGRESS_MS;
  return runInSlices(scan.run(), {
    abortSignal: options.abortSignal,
    onSlice: () => {
      if (options.onProgress === undefined || performance.now() < nextReport) return;
      nextReport = performance.now() + PROGRESS_MS;
      options.onProgress(scan.paths);
    },
  });
}

/** The names of a directory; of those that only lead to mounts the kinds are not known. */
interface Names {
  readonly names: readonly string[];
  readonly kinds?: readonly NameKind[];
  readonly hasRawNames?: boolean;
}

/** A directory being walked. */
interface Frame {
  readonly directory: string;
  /** What stands before its names in a path of the table, and in one for `fs`. */
  readonly prefix: string;
  readonly absolutePrefix: string;
  readonly listing: Names;
  /** Some path here is not UTF-8. */
  readonly isRaw: boolean;
  /** The previous scan judged by the same rules, so a row of it needs no judging. */
  readonly isTrusted: boolean;
  /** Some rows here may be of what came home from a host against the rules. */
  readonly hasSyncBack: boolean;
  readonly leftOut: LeftOutNames;
  next: number;
}

/** One path of the walk. */
interface Place {
  readonly path: WorkspacePath;
  readonly frame: Frame;
  readonly file: string | Buffer;
  /** In the previous table, or -1. */
  readonly row: number;
  /** As listed; undefined where it was not. */
  readonly kind: NameKind | undefined;
  /** In no mount, but mounts lie below. */
  readonly isOnTheWay: boolean;
}

class Scan {
  paths = 0;
  readonly #root: AnchoredRoot;
  readonly #rules: SyncRules;
  readonly #previous: ScanState | undefined;
  readonly #table: TableRewriter;
  readonly #untouched: UntouchedFiles;
  readonly #gitignore: GitignoreFinder | undefined;
  readonly #leftOut: LeftOut;
  readonly #isTrusted: boolean;
  readonly #kept: KeptContents | undefined;
  readonly #ahead: EntriesAhead | undefined;
  readonly #problems: Problem[] = [];
  readonly #large: LargeFiles | undefined;
  readonly #stack: Frame[] = [];
  #filesHashed = 0;
  #bytesHashed = 0;

  constructor({ root, rules, previous, kept, entriesAhead, largeFiles }: ScanOptions) {
    this.#root = root;
    this.#kept = kept;
    this.#ahead = previous === undefined ? entriesAhead : undefined;
    this.#rules = new SyncRules(rules);
    this.#previous = previous;
    this.#table = new TableRewriter(previous?.table ?? EntryTable.empty);
    this.#untouched = new UntouchedFiles(this.#table.base);
    this.#isTrusted = previous !== undefined && hasSameBase(rules, previous);
    this.#leftOut = new LeftOut(previous?.leftOut);
    this.#large =
      largeFiles &&
      new LargeFiles({
        reader: largeFiles,
        root,
        onHashed: (size) => this.#countHashed(size),
        onError: (path, error) => this.#report(path, error),
      });
    if (rules.gitignore !== null)
      this.#gitignore = new GitignoreFinder(root, this.#rules, previous);
  }

  *run(): Steps<ScanResult> {
    // Directories remembered from an earlier use may have been replaced since.
    this.#root.forget();
    checkMounts(this.#root, this.#rules.mountPaths);
    this.#enterRoot();
    let nextYield = STEP_PATHS;
    for (let frame = this.#stack.at(-1); frame !== undefined; frame = this.#stack.at(-1)) {
      if (frame.next === frame.listing.names.length) {
        this.#leftOut.close(frame.directory, frame.leftOut);
        this.#stack.pop();
        continue;
      }
      const start = frame.next;
      frame.next += this.#passUntouched(frame);
      const changed = frame.next < frame.listing.names.length ? this.#visit(frame) : undefined;
      if (changed !== undefined) yield* this.#hash(changed);
      const room = this.#ahead?.room();
      if (room !== undefined) yield room;
      this.paths += frame.next - start;
      if (this.paths >= nextYield) {
        nextYield = this.paths + STEP_PATHS;
        yield;
      }
    }
    if (this.#ahead !== undefined) yield this.#ahead.end();
    const walked = this.#table.finish();
    const table = this.#large === undefined ? walked : yield* this.#large.addTo(walked);
    this.#root.forget();
    return this.#finish(table);
  }

  #enterRoot(): void {
    const mounts = this.#rules.mountPaths;
    const from = { isRaw: false, isTrusted: this.#isTrusted };
    const isMount = mounts.includes('');
    this.#enter('', isMount ? this.#listRoot() : { names: namesTowardMounts('', mounts) }, from);
  }

  #listRoot(): Names {
    try {
      return listDirectory(this.#root.path);
    } catch (cause) {
      const shown = printable(this.#root.path);
      throw new RmtxError('ERR_RMTX_PROJECT_ROOT_REFUSED', `cannot list ${shown}`, { cause });
    }
  }

  #enter(directory: string, listing: Names, from: Pick<Frame, 'isRaw' | 'isTrusted'>): void {
    const mayHaveLines = mayHoldLines(listing, '.gitignore');
    const saysTheSame = this.#gitignore?.enter(directory, mayHaveLines) !== false;
    const isTrusted = from.isTrusted && saysTheSame;
    const prefix = directory === '' ? '' : `${directory}/`;
    this.#stack.push({
      directory,
      prefix,
      absolutePrefix: `${this.#root.path}/${prefix}`,
      listing,
      isRaw: from.isRaw || listing.hasRawNames === true,
      isTrusted,
      hasSyncBack: this.#rules.namesAnyInSyncBack(directory, listing.names),
      leftOut: this.#leftOut.open(directory, isTrusted),
      next: 0,
    });
  }

  /** Passes over the next files that the previous scan knew and nobody has written to. */
  #passUntouched(frame: Frame): number {
    const { next, prefix, absolutePrefix } = frame;
    const { kinds, names } = frame.listing;
    if (kinds === undefined || !frame.isTrusted || frame.isRaw || frame.hasSyncBack) return 0;
    const to = Math.min(names.length, next + STEP_PATHS);
    const run = { names, from: next, to, prefix, absolutePrefix };
    const count = this.#untouched.count(run, this.#table.cursor.nextRow);
    this.#table.keepNext(count);
    return count;
  }

  /** Deals with the next name of a directory; a file whose content is not known is returned. */
  #visit(frame: Frame): Place | undefined {
    const index = frame.next++;
    const name = frame.listing.names[index] ?? '';
    const path = (frame.prefix + name) as WorkspacePath;
    const row = this.#table.cursor.seek(path);
    const kind = frame.listing.kinds?.[index];
    const verdict =
      kind === undefined
        ? this.#judgeOnTheWay(path)
        : this.#judge({ frame, path, name, kind, row });
    if (verdict === 'left-out') return undefined;
    const plain = frame.absolutePrefix + name;
    const file = frame.isRaw ? toFsPath(plain) : plain;
    return this.#take({ path, frame, row, file, kind, isOnTheWay: verdict === 'on-the-way' });
  }

  #judgeOnTheWay(path: string): Judgement {
    return this.#rules.mountPaths.includes(path) ? 'synced' : 'on-the-way';
  }

  #judge({ frame, path, name, kind, row }: Question): Judgement {
    const isDirectory = kind === 'directory';
    if (frame.isTrusted && row >= 0 && this.#table.base.kind(row) === kind) {
      // A row proves that the rules let its path take part, but for what came home against them, and
      // for a directory that is only on the way.
      const isDoubtful =
        (frame.hasSyncBack && this.#rules.namesInSyncBack(path)) ||
        (isDirectory && this.#rules.holdsMount(path));
      if (!isDoubtful) return 'synced';
    }
    if (row < 0 && frame.leftOut.has(name, kind)) {
      frame.leftOut.add(name, kind);
      return 'left-out';
    }
    const verdict = this.#rules.verdict(path, { isDirectory });
    if (verdict.kind === 'synced') return 'synced';
    if (verdict.kind === 'outside' && verdict.contains && isDirectory) return 'on-the-way';
    frame.leftOut.add(name, kind);
    return 'left-out';
  }

  /** Brings a path that takes part into the table, but for a file to be hashed, which is returned. */
  #take(place: Place): Place | undefined {
    const { path, row, file } = place;
    // A new file is opened anyway, and what was opened says more than the name does.
    if (row < 0 && place.kind === 'file' && !place.isOnTheWay) return place;
    try {
      const clockUs = nowUs();
      const stats = lstatSync(file, QUIET);
      // Gone or replaced since it was listed and judged: as if it had never been there.
      if (stats === undefined || !isOfKind(stats, place.kind)) return undefined;
      if (stats.isDirectory()) this.#takeDirectory(place, stats);
      else if (place.isOnTheWay || this.#table.keepIfUntouched(row, stats)) return undefined;
      else if (stats.isFile()) return place;
      else if (stats.isSymbolicLink()) {
        const link = toLinkEntry(path, { target: readLink(file), stats, clockUs });
        this.#table.put(row, link.entry, link.signature);
      } else this.#problems.push(specialFileProblem(path, stats));
    } catch (error) {
      this.#report(path, error);
    }
    return undefined;
  }

  #takeDirectory({ path, frame, row, file, isOnTheWay }: Place, stats: Stats): void {
    let listing: Names = { names: [], kinds: [] };
    try {
      listing = isOnTheWay
        ? { names: namesTowardMounts(path, this.#rules.mountPaths) }
        : listDirectory(file);
    } catch (error) {
      if (isGone(error)) return;
      this.#report(path, error);
    }
    if (!this.#table.keepIfUntouched(row, stats)) {
      const entry = { kind: 'directory', path, mode: stats.mode & 0o777 } as const;
      this.#table.put(row, entry);
      this.#ahead?.directory(entry);
    }
    this.#enter(path, listing, frame);
  }

  *#hash({ path, row }: Place): Generator<undefined, void> {
    const isLater = (size: number): boolean => row < 0 && this.#large?.take(path, size) === true;
    try {
      const hashed = yield* hashFileInSteps(this.#root, path, isLater);
      if (hashed === undefined) return;
      this.#countHashed(hashed.size);
      const { entry, signature } = toFileEntry(path, hashed);
      this.#table.put(row, entry, signature);
      const { bytes } = hashed;
      if (bytes !== undefined && this.#ahead?.file(entry, bytes) !== true)
        this.#kept?.keep(hashed.digest, bytes);
    } catch (error) {
      this.#report(path, error);
    }
  }

  #countHashed(size: number): void {
    this.#filesHashed += 1;
    this.#bytesHashed += size;
  }

  #report(path: WorkspacePath, error: unknown): void {
    if (!isGone(error)) this.#problems.push(unreadableProblem(path, error));
  }

  #finish(table: EntryTable): ScanResult {
    const previous = this.#previous;
    const isSameRules = this.#isTrusted && this.#gitignore?.hasChanged !== true;
    const state = {
      table,
      rules: (isSameRules ? previous?.rules : undefined) ?? this.#rules.sources,
      gitignoreSignatures:
        (isSameRules ? previous?.gitignoreSignatures : undefined) ??
        this.#gitignore?.signatures ??
        [],
      leftOut: this.#leftOut.finish(),
    };
    const hasChanged =
      state.table !== previous?.table ||
      state.rules !== previous.rules ||
      state.leftOut !== previous.leftOut;
    const problems = [...(this.#gitignore?.problems ?? []), ...this.#problems];
    const [filesHashed, bytesHashed] = [this.#filesHashed, this.#bytesHashed];
    return { ...state, hasChanged, problems, filesHashed, bytesHashed };
  }
}

/** No error is made for what is gone. */
const QUIET = { throwIfNoEntry: false } as const;

type Judgement = 'synced' | 'on-the-way' | 'left-out';

interface Question {
  readonly frame: Frame;
  readonly path: WorkspacePath;
  readonly name: string;
  readonly kind: NameKind;
  readonly row: number;
}

function mayHoldLines({ names, kinds }: Names, name: string): boolean {
  const kind = kinds?.[names.indexOf(name)];
  return kinds === undefined || kind === 'file' || kind === 'symlink';
}
