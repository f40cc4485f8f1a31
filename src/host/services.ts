import type { TrustStore } from '../trust/trust-store.js';
import type { Contexts } from './contexts.js';
import type { Runs } from './runs.js';
import type { StayAwake } from './stay-awake.js';
import type { StatePaths } from './state-directory.js';
import type { HostStats } from './stats.js';

/** What a running host consists of, handed to whoever serves a connection. */
export interface HostServices {
  readonly name: string;
  readonly paths: StatePaths;
  readonly trust: TrustStore;
  readonly contexts: Contexts;
  readonly runs: Runs;
  readonly stats: HostStats;
  readonly stayAwake: StayAwake;
  /** PATH, HOME and the like of the host user's login shell, captured once. */
  readonly baseEnvironment: Promise<Readonly<Record<string, string>>>;
  readonly log: (line: string) => void;
}
