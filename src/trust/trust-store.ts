/**
 * Whom this host lets run commands: the keys of the clients that paired, one file each (see
 * record-directory.ts). There is nothing else that lets a client in. Ask on every connection, resumed TLS
 * sessions included: a revoked client is refused from the next question on.
 */
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import type { Fields } from '../util/fields.js';
import { fingerprintId, isFingerprint } from './fingerprint.js';
import type { Fingerprint, PeerId } from './fingerprint.js';
import { MAX_LABEL_LENGTH, safeLabel } from './label.js';
import type { PairingRole } from './pairing-messages.js';
import { MAX_ADDRESS_LENGTH, RecordDirectory } from './record-directory.js';

export interface TrustedClient {
  readonly id: PeerId;
  readonly fingerprint: Fingerprint;
  /** Safe to print. Two clients may have the same. */
  readonly label: string;
  readonly role: PairingRole;
  readonly pairedAt: string;
  readonly pairedFrom: string;
  readonly lastSeen: string | undefined;
}

export interface TrustStoreOptions {
  /** One line each time a file could not be used. */
  readonly log: (line: string) => void;
}

type ClientRecord = Omit<TrustedClient, 'lastSeen'>;

export class TrustStore {
  readonly #records: RecordDirectory<ClientRecord>;

  constructor(directory: string, options: TrustStoreOptions) {
    this.#records = new RecordDirectory(directory, { parse: parseRecord, log: options.log });
  }

  /** The client with this key, if it is trusted now. The one question that lets somebody in. */
  get(fingerprint: Fingerprint): TrustedClient | undefined {
    const id = fingerprintId(fingerprint);
    const record = this.#records.read(id);
    return record?.fingerprint === fingerprint ? this.#withLastSeen(record) : undefined;
  }

  /** Every trusted client, in the order in which they paired. */
  list(): TrustedClient[] {
    return this.#records
      .list()
      .map((record) => this.#withLastSeen(record))
      .sort((a, b) => (a.pairedAt < b.pairedAt ? -1 : 1));
  }

  /**
   * The client that a person named by id, fingerprint or label; an id goes before a label, which the
   * client chose. Throws BAD_ARGUMENT where several have this label.
   */
  find(named: string): TrustedClient | undefined {
    const clients = this.list();
    const byKey = clients.find((client) => client.id === named || client.fingerprint === named);
    if (byKey !== undefined) return byKey;
    const [only, ...others] = clients.filter((client) => client.label === named);
    if (others.length === 0) return only;
    const ids = [only, ...others].map((client) => client?.id).join(', ');
    throw new RmtxError('ERR_RMTX_BAD_ARGUMENT', `several clients are called ${printable(named)}`, {
      hint: `name one by its id: ${ids}`,
    });
  }

  /** Trusts a client from now on, lastingly. One that pairs again gets its new label and date. */
  add(client: {
    readonly fingerprint: Fingerprint;
    readonly label: string;
    readonly role: PairingRole;
    readonly pairedFrom: string;
  }): TrustedClient {
    const id = fingerprintId(client.fingerprint);
    const holder = this.#records.read(id);
    if (holder !== undefined && holder.fingerprint !== client.fingerprint)
      throw new RmtxError('ERR_RMTX_PAIRING_FAILED', `another client has the id ${id}`);
    const record: ClientRecord = {
      id,
      fingerprint: client.fingerprint,
      label: safeLabel(client.label),
      role: client.role,
      pairedAt: new Date().toISOString(),
      pairedFrom: safeLabel(client.pairedFrom),
    };
    this.#write(record);
    return this.#withLastSeen(record);
  }

  /** Throws CLIENT_NOT_FOUND. */
  rename(id: PeerId, label: string): TrustedClient {
    const renamed = { ...this.#require(id), label: safeLabel(label) };
    this.#write(renamed);
    return this.#withLastSeen(renamed);
  }

  /** Ends the trust, lastingly. Connections that are open are the caller's to close. Throws CLIENT_NOT_FOUND. */
  revoke(id: PeerId): TrustedClient {
    const client = this.#withLastSeen(this.#require(id));
    this.#records.remove(id);
    return client;
  }

  /** Notes that the client is here; never makes a client that is not trusted (any more). */
  touch(id: PeerId, address: string): void {
    if (this.#records.read(id) !== undefined)
      this.#records.noteSeen(id, { address: address.slice(0, MAX_ADDRESS_LENGTH) }, new Date());
  }

  #require(id: PeerId): ClientRecord {
    const record = this.#records.read(id);
    if (record !== undefined) return record;
    throw new RmtxError('ERR_RMTX_CLIENT_NOT_FOUND', `no paired client ${printable(id)}`, {
      hint: 'rmtx host clients list shows their ids and labels',
    });
  }

  #write(record: ClientRecord): void {
    this.#records.write(record.id, {
      version: 1,
      id: record.id,
      fingerprint: record.fingerprint,
      label: record.label,
      role: record.role,
      paired_at: record.pairedAt,
      paired_from: record.pairedFrom,
    });
  }

  #withLastSeen(record: ClientRecord): TrustedClient {
    return { ...record, lastSeen: this.#records.lastSeen(record.id)?.at };
  }
}

function parseRecord(fields: Fields, id: PeerId): ClientRecord {
  // The name of the file is what a connection is looked up by: it must be the key's own.
  const fingerprint = fields.checked(
    'fingerprint',
    (value): value is Fingerprint => isFingerprint(value) && fingerprintId(value) === id,
  );
  return {
    id,
    fingerprint,
    label: safeLabel(fields.string('label', 4 * MAX_LABEL_LENGTH)),
    role: fields.oneOf('role', ['exec']),
    pairedAt: fields.time('paired_at'),
    pairedFrom: safeLabel(fields.string('paired_from', MAX_ADDRESS_LENGTH)),
  };
}
