import type { Digest } from '../store/digest.js';
import type { EntryTable } from '../sync/entry-table.js';
import { comparePaths } from '../sync/entry.js';
import type { ManifestChange, WorkspacePath } from '../sync/entry.js';
import { KeptContents } from '../sync/kept-contents.js';
import { rescanPaths } from '../sync/rescan.js';
import type { RuleSources } from '../sync/rule-sources.js';
import { scanProject } from '../sync/scan.js';
import type { ScanOptions, ScanResult } from '../sync/scan.js';
import { TableMerger } from '../sync/table-changes.js';
import type { AnchoredRoot } from '../util/safe-path.js';
import type { ProjectState } from './project-state.js';
import { Snapshots } from './snapshot.js';

/** The scan of one run, and what is looked at again while it goes up. */
export class ProjectScan implements Disposable {
  readonly #options: {
    readonly root: AnchoredRoot;
    readonly state: ProjectState;
    readonly rules: RuleSources;
    readonly abortSignal?: AbortSignal;
  };
  #latest: ScanResult | undefined;
  #kept: KeptContents | undefined = new KeptContents();
  readonly #snapshots: Snapshots;

  constructor(options: {
    readonly root: AnchoredRoot;
    readonly state: ProjectState;
    readonly rules: RuleSources;
    readonly abortSignal?: AbortSignal;
  }) {
    this.#options = options;
    this.#snapshots = new Snapshots(options.state.snapshotDirectory);
  }

  /** The newest result. Only after `scan`. */
  get latest(): ScanResult {
    if (this.#latest === undefined) throw new Error('Internal error: nothing was scanned yet');
    return this.#latest;
  }

  /** Has the contents of small files that a scan reads. */
  get kept(): KeptContents | undefined {
    return this.#kept;
  }

  /** Throws what `ahead` throws. */
  async scan(
    onProgress: (paths: number) => void,
    ahead: Pick<ScanOptions, 'entriesAhead' | 'largeFiles'> = {},
  ): Promise<ScanResult> {
    const { root, rules, state, abortSignal } = this.#options;
    this.#latest = await scanProject({
      root,
      rules,
      previous: state.lastScan,
      kept: this.#kept,
      onProgress,
      abortSignal,
      ...ahead,
    });
    return this.#latest;
  }

  /**
   * Looks again at files that changed while they were sent. Each is copied first and the copy is what
   * the manifest names from now on, so a file that never stands still goes up all the same.
   */
  async rescan(paths: readonly WorkspacePath[]): Promise<EntryTable> {
    const { root, abortSignal } = this.#options;
    const merger = new TableMerger(this.latest.table);
    const gone: WorkspacePath[] = [];
    const changes = new Map<WorkspacePath, ManifestChange>();
    for (const path of paths) {
      const entry = await this.#snapshots.take(root, path, abortSignal);
      if (entry === undefined) gone.push(path);
      else changes.set(path, { type: 'upsert', entry });
    }
    for (const { path, entry } of await rescanPaths({ root }, gone))
      changes.set(path, entry === undefined ? { type: 'delete', path } : { type: 'upsert', entry });
    for (const path of [...changes.keys()].sort(comparePaths)) {
      const change = changes.get(path);
      if (change !== undefined) merger.push(change);
    }
    const table = merger.finish();
    this.#latest = { ...this.latest, table, hasChanged: true };
    return table;
  }

  /** The copy that holds this blob, where a file was copied because it kept changing. */
  snapshotOf(digest: Digest): string | undefined {
    return this.#snapshots.fileOf(digest);
  }

  /** The bytes of a small file as the scan read them, where they were kept until they are sent. */
  keptContentOf(digest: Digest): Buffer | undefined {
    return this.#kept?.find(digest);
  }

  /** Frees the contents that were kept: what is asked for from here on is read again. */
  releaseContents(): void {
    this.#kept = undefined;
  }

  [Symbol.dispose](): void {
    this.#snapshots[Symbol.dispose]();
  }
}
