import path from 'node:path';
import { STAGE_PREFIX } from '../../sync/own-names.js';
import { ensurePrivateDirectory } from '../../util/atomic-file.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import { Area } from './areas.js';
import type { Transaction } from './transaction.js';
import type { Workbench } from './workbench.js';

/** The workbench of one transaction; makes its undo directory. */
export class Bench implements Workbench, Disposable {
  readonly root: AnchoredRoot;
  readonly undo: Area;
  readonly runId: string;
  readonly temporaryName: string;
  readonly #transaction: Transaction;
  readonly #areas = new Map<number, Area>();

  constructor(transaction: Transaction, root: AnchoredRoot) {
    ensurePrivateDirectory(transaction.undoDirectory);
    this.#transaction = transaction;
    this.root = root;
    this.undo = new Area(transaction.undoDirectory);
    this.runId = transaction.header.runId;
    this.temporaryName = STAGE_PREFIX + path.basename(transaction.directory);
  }

  area(number: number): Area {
    const known = this.#areas.get(number);
    if (known !== undefined) return known;
    const area = this.#transaction.openArea(number);
    this.#areas.set(number, area);
    return area;
  }

  [Symbol.dispose](): void {
    this.undo[Symbol.dispose]();
    for (const area of this.#areas.values()) area[Symbol.dispose]();
    this.#areas.clear();
  }
}
