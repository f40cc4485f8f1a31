/**
 * A directory with one small JSON file for each peer, named by its id. Nothing is held in memory: every
 * question reads the disk, so what another process removed is gone with the next question, and there is
 * no cache that could be wrong about trust.
 *
 * A file that cannot be understood is set aside under the name `….corrupt` and said; the others go on
 * working. A file that others could have written, of another user, or a link is not believed and said,
 * and stays where it is.
 *
 * When a peer was last seen stands in a file beside its record (`ID.seen`): it is written often, by
 * whoever meets the peer, and rewriting the record itself could bring back one that is just being removed.
 * So do the hardware addresses that wake it (`ID.wake`).
 */
import { readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { isRmtxError, systemErrorCode } from '../errors.js';
import { fsyncDirectory, writeFileAtomic } from '../util/atomic-file.js';
import { MAX_HARDWARE_ADDRESSES, isHardwareAddress } from '../util/hardware-address.js';
import { printable } from '../util/printable.js';
import { openPrivateDirectory, readPrivateFile } from '../util/private-file.js';
import type { Fields } from '../util/fields.js';
import { parseStateFile } from '../util/state-file.js';
import type { PeerId } from './fingerprint.js';

/** Host names and addresses, `[IPv6%zone]:port` included. */
export const MAX_ADDRESS_LENGTH = 300;
/** Seconds do not matter to anybody, and a busy client connects several times in each. */
const SEEN_INTERVAL_MS = 60_000;
const RECORD_NAME = /^([0-9a-f]{16})\.json$/;

export interface RecordDirectoryOptions<T> {
  /** Throws an RmtxError for a record that is not acceptable. */
  readonly parse: (fields: Fields, id: PeerId) => T;
  /** Told in one line what could not be used, and why. */
  readonly log: (line: string) => void;
}

export interface Meeting {
  readonly address: string;
  /** Where the peer had to dial this machine: an address of it. Undefined: it was reached. */
  readonly dialedBackTo?: string | undefined;
}

export interface Sighting extends Meeting {
  readonly at: string;
}

export class RecordDirectory<T> {
  readonly #directory: string;
  readonly #options: RecordDirectoryOptions<T>;

  constructor(directory: string, options: RecordDirectoryOptions<T>) {
    this.#directory = directory;
    this.#options = options;
  }

  read(id: PeerId): T | undefined {
    const file = this.#recordFile(id);
    try {
      const bytes = readPrivateFile(file);
      return bytes === undefined ? undefined : this.#options.parse(parseStateFile(bytes, file), id);
    } catch (error) {
      if (!isRmtxError(error)) throw error;
      if (error.code === 'ERR_RMTX_STATE_UNSAFE')
        this.#options.log(`${error.message}; it is not used`);
      else this.#setAside(file, error.message);
      return undefined;
    }
  }

  /** All records that can be read, in the order of their ids. */
  list(): T[] {
    return this.#ids()
      .map((id) => this.read(id))
      .filter((record) => record !== undefined);
  }

  /** Lasting when it returns: it survives a power cut. */
  write(id: PeerId, record: object): void {
    openPrivateDirectory(this.#directory);
    const text = `${JSON.stringify(record, null, 2)}\n`;
    writeFileAtomic(this.#recordFile(id), text, { isDurable: true });
  }

  /** Lasting when it returns, too: a removed peer must not come back after a power cut. */
  remove(id: PeerId): void {
    rmSync(this.#recordFile(id), { force: true });
    rmSync(this.#seenFile(id), { force: true });
    rmSync(this.#wakeFile(id), { force: true });
    fsyncDirectory(this.#directory);
  }

  /** Undefined where it was never written, or cannot be read: nothing depends on it. */
  lastSeen(id: PeerId): Sighting | undefined {
    try {
      const file = this.#seenFile(id);
      const bytes = readPrivateFile(file);
      if (bytes === undefined) return undefined;
      const fields = parseStateFile(bytes, file);
      return {
        at: fields.time('at'),
        address: fields.string('address', MAX_ADDRESS_LENGTH),
        dialedBackTo: fields.has('dialed_back_to')
          ? fields.string('dialed_back_to', MAX_ADDRESS_LENGTH)
          : undefined,
      };
    } catch (error) {
      if (isRmtxError(error)) return undefined;
      throw error;
    }
  }

  /** Notes that the peer is here, unless that was noted a moment ago. Not waited for on disk. */
  noteSeen(id: PeerId, { address, dialedBackTo }: Meeting, now: Date): void {
    const before = this.lastSeen(id);
    const sinceMs = before === undefined ? Infinity : now.getTime() - Date.parse(before.at);
    const isSame = before?.address === address && before.dialedBackTo === dialedBackTo;
    if (isSame && sinceMs >= 0 && sinceMs < SEEN_INTERVAL_MS) return;
    openPrivateDirectory(this.#directory);
    const sighting = { at: now.toISOString(), address, dialed_back_to: dialedBackTo };
    writeFileAtomic(this.#seenFile(id), JSON.stringify(sighting));
  }

  /** The hardware addresses that wake the peer; none where nothing, or nothing usable, was noted. */
  wakeAddresses(id: PeerId): string[] {
    try {
      const file = this.#wakeFile(id);
      const bytes = readPrivateFile(file);
      if (bytes === undefined) return [];
      const addresses = parseStateFile(bytes, file).strings('addresses', MAX_HARDWARE_ADDRESSES);
      return addresses.filter(isHardwareAddress);
    } catch (error) {
      if (isRmtxError(error)) return [];
      throw error;
    }
  }

  /** Written only where they are others than before. Not waited for on disk. */
  noteWakeAddresses(id: PeerId, addresses: readonly string[]): void {
    if (this.wakeAddresses(id).join() === addresses.join()) return;
    openPrivateDirectory(this.#directory);
    writeFileAtomic(this.#wakeFile(id), JSON.stringify({ addresses }));
  }

  #ids(): PeerId[] {
    let names: string[];
    try {
      names = readdirSync(this.#directory);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    }
    return names
      .map((name) => RECORD_NAME.exec(name)?.[1])
      .filter((id) => id !== undefined)
      .sort() as PeerId[];
  }

  #setAside(file: string, reason: string): void {
    try {
      renameSync(file, `${file}.corrupt`);
    } catch (error) {
      // Another process set it aside first. Anything else is not worth more than the line below.
      if (systemErrorCode(error) === 'ENOENT') return;
    }
    this.#options.log(`${reason}; it is set aside as ${printable(path.basename(file))}.corrupt`);
  }

  #recordFile(id: PeerId): string {
    return path.join(this.#directory, `${id}.json`);
  }

  #wakeFile(id: PeerId): string {
    return path.join(this.#directory, `${id}.wake`);
  }

  #seenFile(id: PeerId): string {
    return path.join(this.#directory, `${id}.seen`);
  }
}
