/** What `init` and `pair` say about the hosts that they hear, and about hearing none. */
import type { DiscoveredHost } from '../../discovery/sightings.js';
import { formatAddress } from '../../transport/address.js';
import { printable } from '../../util/printable.js';
import { formatDuration } from '../../util/units.js';
import { count, renderTable } from './text.js';

/** A numbered list, for a person to choose from. Every line is made safe to print. */
export function foundHostLines(hosts: readonly DiscoveredHost[]): string[] {
  const rows = hosts.map((host, index) => [
    String(index + 1),
    nameAmong(hosts, host),
    systemOf(host),
    addressOf(host),
    loadOf(host),
    host.facts.isPairingOpen ? 'pairable now' : 'run rmtx host pair-code there',
  ]);
  return renderTable(['', 'NAME', 'SYSTEM', 'ADDRESS', 'LOAD', 'PAIRING'], rows)
    .trimEnd()
    .split('\n');
}

/** `box at 192.168.1.42:33221 (linux x64, 16 cores, pairable now)`. */
export function foundHostLine(host: DiscoveredHost): string {
  const { cores, isPairingOpen } = host.facts;
  const details = [
    systemOf(host),
    ...(cores === undefined ? [] : [count(cores, 'core')]),
    ...(isPairingOpen ? ['pairable now'] : []),
  ].filter((detail) => detail !== '-');
  const where = `${printable(host.name)} at ${addressOf(host)}`;
  return details.length === 0 ? where : `${where} (${details.join(', ')})`;
}

/** After the first seconds of silence: what to do, and that it goes on meanwhile. */
export function silenceLines(networks: readonly string[], remainingMs: number): string[] {
  return [
    `no host has answered yet on ${networks.join(', ')}`,
    '  is one running?      start it on the other machine: rmtx host',
    '  know its address?    press Ctrl-C and type: rmtx init --host ADDR',
    `  a firewall there?    it may still be heard: listening for ${formatDuration(remainingMs)} more`,
  ];
}

/** What a person may know a host of by: its name, and its identity where several have that name. */
function nameAmong(hosts: readonly DiscoveredHost[], host: DiscoveredHost): string {
  const isAlone = hosts.every((other) => other === host || other.name !== host.name);
  return isAlone ? host.name : `${host.name} (${host.identityPrefix.slice(0, 8)}…)`;
}

function systemOf({ facts }: DiscoveredHost): string {
  return [facts.os, facts.arch].filter((word) => word !== undefined).join(' ') || '-';
}

function addressOf({ addresses }: DiscoveredHost): string {
  const [best] = addresses;
  return best === undefined ? '-' : printable(formatAddress(best));
}

function loadOf({ facts: { loadPercent, cores } }: DiscoveredHost): string {
  const all = cores === undefined ? undefined : count(cores, 'core');
  if (loadPercent === undefined) return all ?? '-';
  return all === undefined ? `${loadPercent}%` : `${loadPercent}% of ${all}`;
}
