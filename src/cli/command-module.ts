import type { Invocation } from './arguments.js';

/** What each file in `commands/` exports. */
export interface CommandModule {
  /**
   * Finishes or takes back what a killed run left half-applied. Every command that may meet a project's
   * files has it, and it comes before anything else.
   */
  readonly recover?: (invocation: Invocation) => Promise<void>;
  /** Does the work and prints the result; gives the exit status. What it throws is rmtx's own failure. */
  readonly run: (invocation: Invocation) => Promise<number>;
}
