import type { ResolvedConfig } from '../config/resolved-config.js';
import { BegunDial } from './begun-dial.js';
import type { ClientHome } from './home.js';
import { chooseHost } from './host-choice.js';
import type { HostChoice } from './host-choice.js';
import { Interrupts } from './interrupts.js';

/** The first attempt to reach a run's host, begun; from then on Ctrl-C gives the run up. */
export interface FirstDial extends Disposable {
  readonly choice: HostChoice;
  /** What there is to say of the paired hosts, a line each. */
  readonly warnings: readonly string[];
  readonly interrupts: Interrupts;
}

/**
 * Chooses the host and begins to dial its best address. Throws as {@link chooseHost}. To be disposed when
 * the run is over; a dial that nobody took ends then, which would else keep this process.
 */
export function beginFirstDial(options: {
  readonly home: ClientHome;
  /** `--host`. */
  readonly host: string | undefined;
  /** `--discovery-timeout`. */
  readonly discoveryTimeoutMs: number | undefined;
  readonly config: ResolvedConfig;
}): FirstDial {
  const { home, host, config, discoveryTimeoutMs } = options;
  const warnings: string[] = [];
  const warn = (line: string): void => void warnings.push(line);
  const choice = chooseHost({ home, named: host, config, discoveryTimeoutMs, warn });
  const [best] = choice.addresses;
  const begun = best === undefined ? undefined : new BegunDial(best);
  const interrupts = new Interrupts();
  return {
    choice: { ...choice, begun },
    warnings,
    interrupts,
    [Symbol.dispose]: () => {
      begun?.[Symbol.dispose]();
      interrupts[Symbol.dispose]();
    },
  };
}
