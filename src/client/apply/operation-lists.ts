/** The operations of a plan while it is made, by what they do; in the end, in the order they need. */
import { comparePaths, parentOf } from '../../sync/entry.js';
import type { WorkspacePath } from '../../sync/entry.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { DirectoryModes } from './directory-modes.js';
import type {
  KeepBeside,
  MakeDirectory,
  Operation,
  Remove,
  RemoveDirectory,
  SetAttributes,
  StagedAt,
  Write,
} from './operations.js';

/** Until staging says where. */
const NOT_STAGED: StagedAt = { area: 0, slot: 0 };

export class OperationLists {
  readonly removals = new Map<string, Remove>();
  readonly directoryRemovals = new Map<string, RemoveDirectory>();
  readonly newDirectories = new Map<string, MakeDirectory>();
  readonly directoryModes = new DirectoryModes();
  readonly #writes: Write[] = [];
  readonly #attributes: SetAttributes[] = [];
  readonly #besides: KeepBeside[] = [];

  remove(path: WorkspacePath, before: Remove['before']): void {
    this.removals.set(path, { type: 'remove', path, before });
  }

  removeDirectory(path: WorkspacePath, mode: number): void {
    this.directoryRemovals.set(path, { type: 'remove-directory', path, mode });
  }

  /** One that its owner may not work in gets that mode only at the end. */
  makeDirectory(path: WorkspacePath, mode: number): void {
    const whileWorking = mode | 0o700;
    this.newDirectories.set(path, { type: 'make-directory', path, mode: whileWorking });
    if (whileWorking !== mode) this.directoryModes.set(path, whileWorking, mode);
  }

  write(write: Pick<Write, 'entry' | 'before' | 'isUnsent'>): void {
    this.#writes.push({ type: 'write', path: write.entry.path, ...write, staged: NOT_STAGED });
  }

  setFileAttributes(change: Omit<SetAttributes, 'type' | 'isDirectory'>): void {
    this.#attributes.push({ type: 'set-attributes', isDirectory: false, ...change });
  }

  keepBeside(entry: KeepBeside['entry'], conflict: KeepBeside['conflict']): void {
    const { path } = entry;
    this.#besides.push({ type: 'keep-beside', path, conflict, entry, staged: NOT_STAGED });
  }

  /** Keeps everything that would be deleted, but for what makes room for something new. */
  dropDeletions(): void {
    for (const path of [...this.removals.keys()])
      if (!this.newDirectories.has(path)) this.removals.delete(path);
    this.directoryRemovals.clear();
  }

  /**
   * Files and links are removed, then directories, the deepest first; directories are made, then files
   * and links written; attributes; what is kept beside; the modes of directories, the deepest first. So
   * a file can become a directory and the other way round, a name can change its case, and a directory
   * is closed only when nothing more is to be done in it.
   */
  inOrder(root: AnchoredRoot): Operation[] {
    const { opening, closing } = this.directoryModes.operations(root, this.#touchedDirectories());
    return [
      ...opening,
      ...this.removals.values(),
      ...[...this.directoryRemovals.values()].sort(byPath).reverse(),
      ...[...this.newDirectories.values()].sort(byPath),
      ...this.#writes.sort(byPath),
      ...this.#attributes,
      ...this.#besides,
      ...closing,
    ];
  }

  /** The directories in which an entry appears or goes away. */
  #touchedDirectories(): Set<string> {
    const touched = new Set<string>();
    for (const operations of [this.removals, this.directoryRemovals, this.newDirectories])
      for (const path of operations.keys()) touched.add(parentOf(path));
    for (const { path } of [...this.#writes, ...this.#besides]) touched.add(parentOf(path));
    return touched;
  }
}

function byPath(a: Operation, b: Operation): number {
  return comparePaths(a.path, b.path);
}
