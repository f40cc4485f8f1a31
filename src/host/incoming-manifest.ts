import { RmtxError } from '../errors.js';
import { ChangeDecoder } from '../sync/change-codec.js';
import type { EntryTable } from '../sync/entry-table.js';
import type { ManifestId } from '../sync/entry.js';
import { TableMerger } from '../sync/table-changes.js';

/** A table takes 200 bytes an entry, and a client that lies could send entries for ever. */
export const MAX_ENTRIES = 2_000_000;
const MAX_MANIFEST_BYTES = 512 * 1024 * 1024;

/** A manifest on its way, as changes of one that is here. */
export class IncomingManifest {
  readonly #decoder = new ChangeDecoder();
  readonly #merger: TableMerger;
  #changes = 0;
  #bytes = 0;

  constructor(base: EntryTable) {
    this.#merger = new TableMerger(base);
  }

  /** Change records, cut anywhere. Throws BAD_MESSAGE on anything else, and on more than a host takes. */
  push(bytes: Uint8Array): void {
    const changes = this.#decoder.push(bytes);
    this.#changes += changes.length;
    this.#bytes += bytes.length;
    // A change may also delete: so many of each kind can lie between two manifests.
    if (this.#changes > 2 * MAX_ENTRIES || this.#bytes > MAX_MANIFEST_BYTES) throw tooManyEntries();
    for (const change of changes) this.#merger.push(change);
  }

  /** Throws MANIFEST_MISMATCH where the result is not the expected one. */
  finish(expected: ManifestId): EntryTable {
    this.#decoder.end();
    const table = this.#merger.finish();
    if (table.length > MAX_ENTRIES) throw tooManyEntries();
    if (table.manifestId !== expected)
      throw new RmtxError(
        'ERR_RMTX_MANIFEST_MISMATCH',
        'the manifest is not the one that the client announced',
      );
    return table;
  }
}

function tooManyEntries(): RmtxError {
  return new RmtxError(
    'ERR_RMTX_BAD_MESSAGE',
    `the project has more than the ${MAX_ENTRIES} files and directories that a host takes`,
    { hint: 'name in ignore, or in mounts, what the command needs of it' },
  );
}
