/** Whether a machine on this subnet answers for an address, as the system's neighbour table has it. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';

/**
 * `present`: it answered for the address a moment ago. `absent`: it was asked for and nobody did. `unknown`:
 * the table does not say, or no longer.
 */
export type Neighbour = 'present' | 'absent' | 'unknown';

const TABLE_TIMEOUT_MS = 1000;

/** To be asked after something was sent there: only then has the system looked. Never rejects. */
export async function neighbourAt(address: string): Promise<Neighbour> {
  const [literal = ''] = address.split('%');
  if (process.platform === 'linux') {
    const text = await outputOf('ip', ['neigh', 'show', 'to', literal]);
    return text === undefined ? fromProcArp(procArp(), literal) : fromIpNeigh(text);
  }
  if (!isIPv4(literal)) return 'unknown';
  const asked = process.platform === 'win32' ? ['-a', literal] : ['-n', literal];
  return fromArp((await outputOf('arp', asked)) ?? '');
}

/** Of `ip neigh show`: DELAY, PROBE and STALE have not been confirmed since they were asked for. */
export function fromIpNeigh(text: string): Neighbour {
  if (/\b(?:REACHABLE|PERMANENT|NOARP)\b/.test(text)) return 'present';
  return /\b(?:FAILED|INCOMPLETE)\b/.test(text) ? 'absent' : 'unknown';
}

/** Of /proc/net/arp, for a machine without iproute2. Its flags do not tell whether an entry is stale. */
export function fromProcArp(text: string, address: string): Neighbour {
  const row = text.split('\n').find((line) => line.startsWith(`${address} `));
  const [, , flags] = row?.split(/\s+/) ?? [];
  return flags !== undefined && Number(flags) === 0 ? 'absent' : 'unknown';
}

/** Of arp(8) of macOS and of Windows, whose entries do not tell how old they are. */
export function fromArp(text: string): Neighbour {
  return /\(incomplete\)|00-00-00-00-00-00/.test(text) ? 'absent' : 'unknown';
}

function procArp(): string {
  try {
    return readFileSync('/proc/net/arp', 'utf8');
  } catch {
    return '';
  }
}

/** Undefined where there is no such program, or it fails: the table is a hint. */
function outputOf(file: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { timeout: TABLE_TIMEOUT_MS, windowsHide: true };
    execFile(file, args, options, (error, stdout) => resolve(error === null ? stdout : undefined));
  });
}
