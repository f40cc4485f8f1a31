/** What the client remembers between two runs of one project. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { isRmtxError } from '../errors.js';
import { EntryTable } from '../sync/entry-table.js';
import { loadEntryTable, saveEntryTable } from '../sync/entry-table-file.js';
import type { ManifestId } from '../sync/entry.js';
import { loadScanState, saveScanState } from '../sync/scan-state.js';
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
    const kept = unlessCorrupt(() => loadEntryTable(this.#baseFile(key)));
    return kept?.manifestId === id ? kept : undefined;
  }

  /** Remembers a scan, and what the host has now where that is something else (conflicts, refusals). */
  save(
    scan: ScanState,
    agreed: { readonly key: BaseKey; readonly base: EntryTable | undefined },
  ): void {
    const last = this.lastScan;
    const isSame =
      scan.table === last?.table && scan.rules === last.rules && scan.leftOut === last.leftOut;
    if (!isSame) saveScanState(this.directory, scan, last);
    const file = this.#baseFile(agreed.key);
    if (agreed.base === undefined || agreed.base.manifestId === scan.table.manifestId)
      rmSync(file, { force: true });
    else saveEntryTable(file, agreed.base);
  }

  /** For copies of files that change while they are sent. */
  get snapshotDirectory(): string {
    return path.join(this.directory, 'snapshots');
  }

  #baseFile({ fingerprint, slot }: BaseKey): string {
    return path.join(this.directory, `base-${fingerprint.slice(-16)}-${slot}`);
  }
}

/** A damaged cache is as good as none: the next run is slower and nothing else. */
function unlessCorrupt<T>(load: () => T): T | undefined {
  try {
    return load();
  } catch (error) {
    if (isRmtxError(error) && error.code === 'ERR_RMTX_STATE_CORRUPT') return undefined;
    throw error;
  }
}
