/** A host's facts as the TXT record of its DNS-SD service, whose keys are ours to choose. */
import type { PeerId } from '../trust/fingerprint.js';
import { announcedName, isServiceName, plainWord } from './packets.js';
import type { HostFacts } from './packets.js';

const VERSION = '1';

/** Without the load: whatever changes is announced to the whole network again. */
export function factsToTxt(facts: HostFacts): Record<string, string> {
  const { service, name, identityPrefix, isPairingOpen, os, arch, cores } = facts;
  return {
    v: VERSION,
    service,
    name: announcedName(name),
    id: identityPrefix,
    pairing: isPairingOpen ? 'open' : 'closed',
    ...(os === undefined ? {} : { os }),
    ...(arch === undefined ? {} : { arch }),
    ...(cores === undefined ? {} : { cores: String(cores) }),
  };
}

/** Undefined for a record that is not one of ours; anything may stand in it. */
export function factsFromTxt(txt: unknown, port: unknown): HostFacts | undefined {
  const text = (key: string): string | undefined => {
    if (typeof txt !== 'object' || txt === null || !Object.hasOwn(txt, key)) return undefined;
    const value = (txt as Readonly<Record<string, unknown>>)[key];
    return typeof value === 'string' ? value : undefined;
  };
  const service = text('service');
  const name = text('name');
  const id = text('id');
  const cores = Number(text('cores'));
  if (text('v') !== VERSION || name === undefined || !isServiceName(service)) return undefined;
  if (id === undefined || !/^[0-9a-f]{16}$/.test(id)) return undefined;
  if (!Number.isInteger(port) || Number(port) < 1 || Number(port) > 0xffff) return undefined;
  return {
    service,
    name: announcedName(name),
    port: Number(port),
    // The pattern is fingerprintId's.
    identityPrefix: id as PeerId,
    isPairingOpen: text('pairing') === 'open',
    os: plainWord(text('os')),
    arch: plainWord(text('arch')),
    cores: Number.isInteger(cores) && cores > 0 && cores <= 0xffff ? cores : undefined,
  };
}
