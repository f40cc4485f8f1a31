/** What the client remembers between two runs of one project. */
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { EntryTable } from '../sync/entry-table.js';
import { loadEntryTable, saveEntryTable } from '../sync/entry-table-file.js';
import type { ManifestId } from '../sync/entry.js';
import { INDEX_FILE, loadScanState, saveScanState } from '../sync/scan-state.js';
import type { ScanState } from '../sync/scan-state.js';
import type { Fingerprint } from '../trust/fingerprint.js';
import { PRIVATE_DIRECTORY_MODE, writeFileAtomic } from '../util/atomic-file.js';
import { projectDirectory } from './home.js';
import type { ClientHome } from './home.js';

/** Which kept workspace of which host a manifest was agreed on with. */
export interface BaseKey {
  readonly fingerprint: Fingerprint;
  readonly slot: number;
}

export interface AgreedBase {
  readonly key: BaseKey;
  /** Undefined: nothing is agreed on, and the next run sends everything. */
  readonly base: EntryTable | undefined;
  /** What was agreed on before, where the host may have gone back to that. */
  readonly former?: EntryTable | undefined;
}

/** Holds the project's path, so that what is remembered of a folder that is gone can go, too. */
export const PROJECT_ROOT_FILE = 'root';

export class ProjectState {
  readonly directory: string;
  /** The last scan, or undefined at the first run or where its files were damaged. */
  readonly lastScan: ScanState | undefined;

  constructor(home: ClientHome, project: { readonly key: string; readonly root: string }) {
    this.directory = projectDirectory(home, project.key);
    mkdirSync(this.directory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
    const rootFile = path.join(this.directory, PROJECT_ROOT_FILE);
    if (!existsSync(rootFile)) writeFileAtomic(rootFile, project.root);
    this.lastScan = loadScanState(this.directory);
  }

  /**
   * The manifest of this id, where it is still known: the last scan's (what it nearly always is), or
   * the one kept for this host because the two differed. Undefined: send everything.
   */
  base(key: BaseKey, id: ManifestId): EntryTable | undefined {
    if (this.lastScan?.table.manifestId === id) return this.lastScan.table;
    if (EntryTable.empty.manifestId === id) return EntryTable.empty;
    return [this.#baseFile(key), this.#formerBaseFile(key)]
      .map((file) => loadEntryTable(file))
      .find((kept) => kept?.manifestId === id);
  }

  /** Where this table lies on disk already, as far as this process knows. */
  fileOf(table: EntryTable): string | undefined {
    return table === this.lastScan?.table ? path.join(this.directory, INDEX_FILE) : undefined;
  }

  /** Remembers a scan, and what the host has now where that is something else (conflicts, refusals). */
  save(scan: ScanState, agreed: AgreedBase): void {
    const last = this.lastScan;
    const isSame =
      scan.table === last?.table && scan.rules === last.rules && scan.leftOut === last.leftOut;
    if (!isSame) saveScanState(this.directory, scan, last);
    this.#saveBases(agreed, scan.table);
  }

  /** Remembers what the host has of a run that others may have overtaken here: the last scan stays theirs. */
  saveBases(agreed: AgreedBase): void {
    this.#saveBases(agreed, this.lastScan?.table);
  }

  /** Whether a scan was saved after this time: another run has come since. */
  isNewerThan(time: Date): boolean {
    const stats = statSync(path.join(this.directory, INDEX_FILE), { throwIfNoEntry: false });
    return stats !== undefined && stats.mtimeMs > time.getTime();
  }

  /** For copies of files that change while they are sent. */
  get snapshotDirectory(): string {
    return path.join(this.directory, 'snapshots');
  }

  /** What the last scan holds needs no file of its own. */
  #saveBases({ key, base, former }: AgreedBase, last: EntryTable | undefined): void {
    for (const [file, table] of [
      [this.#baseFile(key), base],
      [this.#formerBaseFile(key), former],
    ] as const)
      if (table === undefined || table.manifestId === last?.manifestId)
        rmSync(file, { force: true });
      else saveEntryTable(file, table);
  }

  #formerBaseFile(key: BaseKey): string {
    return `${this.#baseFile(key)}-former`;
  }

  #baseFile({ fingerprint, slot }: BaseKey): string {
    return path.join(this.directory, `base-${fingerprint.slice(-16)}-${slot}`);
  }
}
