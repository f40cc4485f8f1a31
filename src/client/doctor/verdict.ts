/** What `doctor` says: one report a step, in the order in which a run needs them. */

export const STEPS = [
  'config',
  'state',
  'name',
  'interface',
  'udp',
  'tcp',
  'tls',
  'identity',
  'pairing',
  'clock',
  'version',
  'disk',
  'run',
] as const;
export type StepName = (typeof STEPS)[number];

/** What is likely the matter. Stable: scripts test it. */
export type CauseCode =
  | 'address-invalid'
  | 'another-identity'
  | 'another-service'
  | 'asleep-or-off'
  | 'clock'
  | 'command-not-found'
  | 'config-invalid'
  | 'connection-cut'
  | 'disk-full'
  | 'disk-full-here'
  | 'firewall'
  | 'firewall-here'
  | 'firewall-or-asleep'
  | 'host-failed'
  | 'host-load'
  | 'host-not-running'
  | 'moved'
  | 'name-unknown'
  | 'no-config'
  | 'no-name-service'
  | 'no-network'
  | 'no-route'
  | 'not-announced'
  | 'not-paired'
  | 'not-tidied'
  | 'protocol-version'
  | 'revoked'
  | 'several-hosts'
  | 'state-not-private'
  | 'state-not-writable'
  | 'state-unusable'
  | 'vpn'
  | 'wrong-subnet';

/** Why, in a sentence, and what to type or do, one thing a line; where there are several, any of them. */
export interface Trouble {
  readonly code: CauseCode;
  readonly cause: string;
  readonly cure: readonly string[];
}

/** What a step came to. A failed one keeps the rest from being reached; a warning never does. */
export type Finding =
  | { readonly verdict: 'ok'; readonly detail: string }
  | ({ readonly verdict: 'warning' | 'failed'; readonly detail: string } & Trouble);

export type StepReport = { readonly step: StepName; readonly elapsedMs: number } & (
  Finding | { readonly verdict: 'not-reached' }
);

export interface DoctorReport {
  /** Every step, each once, in the order of {@link STEPS}. */
  readonly steps: readonly StepReport[];
  /** The first that failed. */
  readonly failed: StepName | undefined;
}

export function ok(detail: string): Finding {
  return { verdict: 'ok', detail };
}

export function warning(detail: string, trouble: Trouble): Finding {
  return { verdict: 'warning', detail, ...trouble };
}

export function failed(detail: string, trouble: Trouble): Finding {
  return { verdict: 'failed', detail, ...trouble };
}
