/**
 * The hosts this client paired with: whose key to expect, and where it answered. One file for each host
 * (see record-directory.ts). Addresses are the caller's normal form, `HOST:PORT`; they say where to look
 * and never who somebody is.
 */
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import type { Fields } from '../util/fields.js';
import { fingerprintId, isFingerprint } from './fingerprint.js';
import type { Fingerprint, PeerId } from './fingerprint.js';
import { MAX_LABEL_LENGTH, safeLabel } from './label.js';
import { MAX_ADDRESS_LENGTH, RecordDirectory } from './record-directory.js';
import type { Meeting } from './record-directory.js';

export interface KnownHost {
  readonly id: PeerId;
  /** Unique among the known hosts, whatever the case; letters, digits, dots, dashes, underscores. */
  readonly name: string;
  readonly fingerprint: Fingerprint;
  /** Where it was paired with, the newest first. */
  readonly addresses: readonly string[];
  /** Where it answered last. */
  readonly lastAddress: string | undefined;
  /** An address of this machine: the host had to dial back to it, from `lastAddress`. Undefined: it was reached. */
  readonly dialedBackTo: string | undefined;
  readonly pairedAt: string;
  readonly lastSeen: string | undefined;
}

export interface KnownHostsOptions {
  /** One line each time a file could not be used. */
  readonly log?: (line: string) => void;
}

type HostRecord = Omit<KnownHost, 'lastAddress' | 'dialedBackTo' | 'lastSeen'>;

/** Where a name may stand it means whichever host is the best. */
export const RESERVED_NAME = 'auto';

/** More than anybody's laptop meets one host at. */
const MAX_ADDRESSES = 8;

/** Every known host, by name. */
export function listKnownHosts(directory: string, options: KnownHostsOptions = {}): KnownHost[] {
  const records = openRecords(directory, options);
  return records
    .list()
    .map((record) => {
      const seen = records.lastSeen(record.id);
      return {
        ...record,
        lastAddress: seen?.address,
        dialedBackTo: seen?.dialedBackTo,
        lastSeen: seen?.at,
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The host that a person named: by its name in any case, its id, or its whole fingerprint. */
export function findKnownHost(known: readonly KnownHost[], named: string): KnownHost | undefined {
  return known.find(
    (host) =>
      isSameName(host.name, named) || host.id === named || host.fingerprint === named.toLowerCase(),
  );
}

/**
 * The host to expect at this address: of those that were met or paired with there, the one seen last
 * (addresses move on between machines).
 */
export function findKnownHostAt(
  known: readonly KnownHost[],
  address: string,
): KnownHost | undefined {
  const [first, ...others] = known.filter(
    (host) => host.lastAddress === address || host.addresses.includes(address),
  );
  return others.reduce(
    (last, host) => ((host.lastSeen ?? '') > (last?.lastSeen ?? '') ? host : last),
    first,
  );
}

/**
 * Knows a host from now on, lastingly; call it only once pairing has proven the key. A host that was
 * known keeps its other addresses and takes the name it has now. An address belongs to one host: the new
 * one takes it over.
 *
 * The name is the host's wish. It is reduced to harmless characters and made unique, and it never wins
 * against an address that the user typed: no host can call itself by another's address and be meant.
 */
export function saveKnownHost(
  directory: string,
  paired: Meeting & { readonly fingerprint: Fingerprint; readonly hostName: string },
  options: KnownHostsOptions = {},
): KnownHost {
  const records = openRecords(directory, options);
  const id = fingerprintId(paired.fingerprint);
  const holder = records.read(id);
  if (holder !== undefined && holder.fingerprint !== paired.fingerprint)
    throw new RmtxError('ERR_RMTX_PAIRING_FAILED', `another host has the id ${id}`);
  const others = cedeAddress(records, id, paired.address);
  const rest = (holder?.addresses ?? []).filter((address) => address !== paired.address);
  const record: HostRecord = {
    id,
    name: uniqueName(plainName(paired.hostName), others),
    fingerprint: paired.fingerprint,
    addresses: [paired.address, ...rest].slice(0, MAX_ADDRESSES),
    pairedAt: new Date().toISOString(),
  };
  writeRecord(records, record);
  const now = new Date();
  const { address, dialedBackTo } = paired;
  records.noteSeen(id, { address, dialedBackTo }, now);
  return { ...record, lastAddress: address, dialedBackTo, lastSeen: now.toISOString() };
}

/** Notes how a known host was met just now; does nothing for one that is not known (any more). */
export function rememberMeeting(
  directory: string,
  fingerprint: Fingerprint,
  meeting: Meeting,
): void {
  const records = openRecords(directory, {});
  const id = fingerprintId(fingerprint);
  if (records.read(id)?.fingerprint === fingerprint) records.noteSeen(id, meeting, new Date());
}

/** Notes what wakes a known host; a visit by a way that has no such address leaves what is known. */
export function rememberWakeAddresses(
  directory: string,
  fingerprint: Fingerprint,
  addresses: readonly string[],
): void {
  if (addresses.length === 0) return;
  const records = openRecords(directory, {});
  const id = fingerprintId(fingerprint);
  if (records.read(id)?.fingerprint === fingerprint) records.noteWakeAddresses(id, addresses);
}

/** Empty where no visit told any. */
export function wakeAddressesOf(directory: string, host: KnownHost): string[] {
  return openRecords(directory, {}).wakeAddresses(host.id);
}

/** Forgets a host by name, id or fingerprint. Throws UNKNOWN_HOST. */
export function forgetKnownHost(directory: string, named: string): KnownHost {
  const host = findKnownHost(listKnownHosts(directory), named);
  if (host === undefined)
    throw new RmtxError('ERR_RMTX_UNKNOWN_HOST', `no paired host ${printable(named)}`, {
      hint: 'rmtx hosts list shows them',
    });
  openRecords(directory, {}).remove(host.id);
  return host;
}

/**
 * Takes the address from every other host, and the name from one that is called like the address but
 * was never paired with there. Returns the others as they are now.
 */
function cedeAddress(
  records: RecordDirectory<HostRecord>,
  id: PeerId,
  address: string,
): HostRecord[] {
  const others = records.list().filter((host) => host.id !== id);
  return others.map((host) => {
    const addresses = host.addresses.filter((candidate) => candidate !== address);
    const isOnlyNamedSo =
      isSameName(host.name, hostOf(address)) &&
      !addresses.some((kept) => isSameName(hostOf(kept), host.name));
    if (addresses.length === host.addresses.length && !isOnlyNamedSo) return host;
    const rivals = [
      ...others.filter((other) => other !== host),
      { name: '', addresses: [address] },
    ];
    const name = isOnlyNamedSo ? uniqueName(host.name, rivals) : host.name;
    const ceded = { ...host, addresses, name };
    writeRecord(records, ceded);
    return ceded;
  });
}

/** Letters and digits of any script, dots, dashes, underscores; never the look of an IP address, never the reserved name. */
function plainName(text: string): string {
  const name = safeLabel(text)
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^[-.]+|[-.]+$/g, '');
  if (name === '') return 'host';
  if (name.toLowerCase() === RESERVED_NAME) return `host-${name}`;
  // There is no colon in it, so it is no IPv6 address. Node's own check costs 4 ms at its first use.
  return /^[0-9.]+$/.test(name) ? `host-${name}` : name;
}

/** The name, or the name with the first number that makes it unlike every name and address of others. */
function uniqueName(
  wanted: string,
  others: readonly Pick<HostRecord, 'name' | 'addresses'>[],
): string {
  const isTaken = (name: string): boolean =>
    others.some(
      (host) =>
        isSameName(host.name, name) ||
        host.addresses.some((address) => isSameName(hostOf(address), name)),
    );
  if (!isTaken(wanted)) return wanted;
  for (let count = 2; ; count++) {
    const name = `${wanted.slice(0, MAX_LABEL_LENGTH - 8)}-${count}`;
    if (!isTaken(name)) return name;
  }
}

/** `HOST` of `HOST:PORT`, brackets taken off. */
function hostOf(address: string): string {
  return address.replace(/:[0-9]+$/, '').replace(/^\[|\]$/g, '');
}

function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function openRecords(directory: string, options: KnownHostsOptions): RecordDirectory<HostRecord> {
  return new RecordDirectory(directory, {
    parse: parseRecord,
    log: options.log ?? (() => undefined),
  });
}

function writeRecord(records: RecordDirectory<HostRecord>, record: HostRecord): void {
  records.write(record.id, {
    version: 1,
    id: record.id,
    name: record.name,
    fingerprint: record.fingerprint,
    addresses: record.addresses,
    paired_at: record.pairedAt,
  });
}

function parseRecord(fields: Fields, id: PeerId): HostRecord {
  return {
    id,
    name: plainName(fields.string('name', 4 * MAX_LABEL_LENGTH)),
    fingerprint: fields.checked(
      'fingerprint',
      (value): value is Fingerprint => isFingerprint(value) && fingerprintId(value) === id,
    ),
    addresses: fields.strings('addresses', MAX_ADDRESSES, MAX_ADDRESS_LENGTH),
    pairedAt: fields.time('paired_at'),
  };
}
