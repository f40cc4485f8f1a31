/** What the `rmtx host` commands have in common. */
import { defaultStateDirectory } from '../host/state-directory.js';
import type { FlagValues } from './arguments.js';

/** Long enough to walk to the other machine. */
export const DEFAULT_PAIRING_TTL_MS = 5 * 60 * 1000;

/** Every address of this machine. */
export const DEFAULT_LISTEN = ':33221';

export function stateDirectoryOf(flags: FlagValues): string {
  return flags.text('state-dir') ?? defaultStateDirectory();
}
