import { HAS_SIGNATURE, IS_RACY } from './entry-columns.js';
import type { EntryColumns } from './entry-columns.js';
import type { EntryTable } from './entry-table.js';
import { isRacyAt } from './stat-signature.js';
import type { StatSignature } from './stat-signature.js';

/**
 * A table's signatures, being changed: the table itself stays as it is, and so does its memory but for
 * the four columns that signatures are in, which are copied at the first change.
 */
export class TableSignatures {
  #table: EntryTable;
  #own: SignatureColumns | undefined;

  constructor(table: EntryTable) {
    this.#table = table;
  }

  get hasChanged(): boolean {
    return this.#own !== undefined;
  }

  isSigned(row: number): boolean {
    return (((this.#own ?? this.#table.columns).flags[row] ?? 0) & HAS_SIGNATURE) !== 0;
  }

  sign(row: number, signature: StatSignature): void {
    const columns = this.#writable();
    const others = (columns.flags[row] ?? 0) & ~(HAS_SIGNATURE | IS_RACY);
    columns.flags[row] = others | HAS_SIGNATURE | (signature.isRacy ? IS_RACY : 0);
    columns.signatureIno[row] = signature.ino;
    columns.signatureMtimeUs[row] = signature.mtimeUs;
    columns.signatureCtimeUs[row] = signature.ctimeUs;
  }

  /** Directories have no content: theirs only says that they are there, with the entry's mode. */
  signDirectory(row: number): void {
    this.sign(row, PRESENT);
  }

  /** The content of this row's entry is no longer known to be there. */
  unsign(row: number): void {
    if (!this.isSigned(row)) return;
    const columns = this.#writable();
    columns.flags[row] = (columns.flags[row] ?? 0) & ~(HAS_SIGNATURE | IS_RACY);
  }

  /**
   * Marks what was changed so shortly before `clockUs` that a change right after it would not show. Until
   * then nobody else can have changed anything, so the clock at each signature does not matter.
   */
  markRacy(clockUs: number): void {
    if (this.#own === undefined) return;
    const { flags, signatureMtimeUs, signatureCtimeUs } = this.#own;
    for (let row = 0; row < this.#table.length; row++) {
      const bits = flags[row] ?? 0;
      if ((bits & HAS_SIGNATURE) === 0) continue;
      const mtimeUs = signatureMtimeUs[row] ?? 0;
      const ctimeUs = signatureCtimeUs[row] ?? 0;
      if (isRacyAt(clockUs, { mtimeUs, ctimeUs })) flags[row] = bits | IS_RACY;
    }
  }

  /** The table as it is by now; later changes do not show in it. */
  table(): EntryTable {
    if (this.#own === undefined) return this.#table;
    this.#table = this.#table.withColumns({ ...this.#table.columns, ...this.#own });
    this.#own = undefined;
    return this.#table;
  }

  #writable(): SignatureColumns {
    if (this.#own !== undefined) return this.#own;
    const { flags, signatureIno, signatureMtimeUs, signatureCtimeUs } = this.#table.columns;
    this.#own = {
      flags: flags.slice(),
      signatureIno: signatureIno.slice(),
      signatureMtimeUs: signatureMtimeUs.slice(),
      signatureCtimeUs: signatureCtimeUs.slice(),
    };
    return this.#own;
  }
}

type SignatureColumns = Pick<
  EntryColumns,
  'flags' | 'signatureIno' | 'signatureMtimeUs' | 'signatureCtimeUs'
>;

/** The signature of a directory. */
export const PRESENT: StatSignature = { ino: 0, mtimeUs: 0, ctimeUs: 0, isRacy: false };
