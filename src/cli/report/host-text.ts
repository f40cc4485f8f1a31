import { formatDuration } from '../../util/units.js';

export interface FirstPairing {
  readonly code: string;
  readonly fingerprint: string;
  readonly remainingMs: number;
  /** Where another machine can dial this one. */
  readonly addresses: readonly string[];
}

/** What the owner sees at the first start: the code, and what to type on the other machine. */
export function firstPairingLines(window: FirstPairing): string[] {
  return [
    'nobody is paired with this host yet, so pairing is open',
    `  code         ${spaced(window.code)} (for ${formatDuration(roughly(window.remainingMs))})`,
    `  fingerprint  ${window.fingerprint}`,
    ...pairCodeLines(window.addresses).map((line) => `  ${line}`),
  ];
}

/** What to do with a code on the other machine, for a person who just had one printed. */
export function pairCodeLines(addresses: readonly string[]): string[] {
  const [first = 'ADDRESS-OF-THIS-MACHINE', ...others] = addresses;
  return [
    `in a project on the other machine: rmtx init --host ${first}`,
    ...(others.length === 0 ? [] : [`other addresses of this machine: ${others.join(', ')}`]),
  ];
}

/**
 * What others can dial: a host that listens on every address is reached at any of the machine's own.
 * `local` are those, without a port.
 */
export function dialableAddresses(
  listening: readonly string[],
  local: readonly string[],
): string[] {
  return listening.flatMap((address) => {
    const [, port] = /^(?:\[::\]|0\.0\.0\.0):(\d+)$/.exec(address) ?? [];
    if (port === undefined) return [address];
    return local
      .filter((each) => address.startsWith('[') || !each.includes(':'))
      .map((each) => (each.includes(':') ? `[${each}]:${port}` : `${each}:${port}`));
  });
}

/** "For 4m59s" would say more than anybody wants to know. */
function roughly(milliseconds: number): number {
  return Math.round(milliseconds / 10_000) * 10_000;
}

/** Eight digits are read and typed without a slip in two groups. */
function spaced(code: string): string {
  return /^\d{8}$/.test(code) ? `${code.slice(0, 4)} ${code.slice(4)}` : code;
}
