/** Chooses for each target the stage area that one rename can move its content out of. */
import { statSync } from 'node:fs';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { isWithin, parentOf } from '../../sync/entry.js';
import { printable } from '../../util/printable.js';
import type { AnchoredRoot } from '../../util/safe-path.js';
import type { Area } from './areas.js';
import { look } from './observe.js';
import type { Transaction } from './transaction.js';

export class StageAreas implements Disposable {
  readonly #transaction: Transaction;
  readonly #root: AnchoredRoot;
  readonly #mountPaths: readonly string[];
  /** By device. */
  readonly #numbers = new Map<number, number>();
  readonly #areas: Area[] = [];
  /** Bytes that will be staged, by area. */
  readonly #wantedBytes: number[] = [];
  #last = { parent: '', number: -1 };

  constructor(
    transaction: Transaction,
    tree: { readonly root: AnchoredRoot; readonly mountPaths: readonly string[] },
  ) {
    this.#transaction = transaction;
    this.#root = tree.root;
    this.#mountPaths = tree.mountPaths;
    this.#numbers.set(statSync(transaction.filesDirectory).dev, 0);
    this.#areas.push(transaction.openArea(0));
  }

  /** The number of the area for content of `size` bytes that will be put at `path`. */
  numberFor(path: string, size: number): number {
    const parent = parentOf(path);
    if (this.#last.number < 0 || this.#last.parent !== parent)
      this.#last = { parent, number: this.#choose(parent) };
    const number = this.#last.number;
    this.#wantedBytes[number] = (this.#wantedBytes[number] ?? 0) + size;
    return number;
  }

  area(number: number): Area {
    const area = this.#areas[number];
    if (area === undefined) throw new Error(`Internal error: stage area ${number} is not open`);
    return area;
  }

  /** Throws DISK_FULL where an area's device has not the room for what was announced. */
  checkSpace(): void {
    this.#wantedBytes.forEach((wanted, number) => {
      const area = this.area(number);
      const free = area.freeBytes();
      if (wanted <= free) return;
      throw new RmtxError(
        'ERR_RMTX_DISK_FULL',
        `what comes back needs ${wanted} bytes, and there is room for ${free} at ${printable(area.shown(''))}`,
        { hint: 'nothing was changed: free some space there, then run the command again' },
      );
    });
  }

  [Symbol.dispose](): void {
    // Sparse: an area that could not be made has a number, too.
    this.#areas.forEach((area) => area[Symbol.dispose]());
  }

  #choose(parent: string): number {
    const directory = this.#nearestDirectory(parent);
    const device = this.#deviceOf(directory);
    const known = this.#numbers.get(device);
    if (known !== undefined) return known;
    const number = this.#add(directory, device);
    this.#numbers.set(device, number);
    return number;
  }

  /** As high in the mount as the device reaches, where nobody's build looks. */
  #add(directory: string, device: number): number {
    const mount = this.#mountPaths.find((path) => isWithin(directory, path)) ?? '';
    let top = directory;
    while (top !== mount && top !== '' && this.#deviceOf(parentOf(top)) === device)
      top = parentOf(top);
    let number: number;
    try {
      number = this.#transaction.addTreeArea(this.#root, top);
    } catch (error) {
      // Then the content is copied over when its turn comes.
      if (!['EACCES', 'EPERM', 'EROFS'].includes(systemErrorCode(error) ?? '')) throw error;
      return 0;
    }
    this.#areas[number] = this.#transaction.openArea(number);
    return number;
  }

  #nearestDirectory(directory: string): string {
    for (let above = directory; above !== ''; above = parentOf(above)) {
      const stats = look(this.#root, above);
      if (stats !== undefined && stats !== 'blocked' && stats.isDirectory()) return above;
    }
    return '';
  }

  #deviceOf(directory: string): number {
    if (directory === '') return statSync(this.#root.at('')).dev;
    const stats = look(this.#root, directory);
    return stats === undefined || stats === 'blocked' ? -1 : stats.dev;
  }
}
