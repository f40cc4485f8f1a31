import { DIALED_BACK } from '../client/connect.js';
import { openClientHome } from '../client/home.js';
import type { HostTarget } from '../client/control.js';
import { resolveConfig } from '../config/resolved-config.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { isRmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import type { FlagValues } from './arguments.js';

type CommandTarget = HostTarget & Required<Pick<HostTarget, 'discoveryTimeoutMs' | 'warn'>>;

/** Which host a command without a project of its own means: the flags, and the config if one governs. */
export function targetOf(flags: FlagValues): CommandTarget {
  return {
    home: openClientHome(),
    host: flags.text('host'),
    config: configIfAny(flags),
    discoveryTimeoutMs: flags.durationMs('discovery-timeout'),
    warn: warningsFor(flags),
    onChosen: (rule, address) => {
      if (flags.has('verbose'))
        process.stderr.write(
          `rmtx: host chosen by: ${printable(rule)}, found at ${printable(address)}\n`,
        );
    },
    onDialedBack: dialedBackTeller(flags),
  };
}

/** Says with `-v` that the host dialled back: once, however many connections a command makes. */
export function dialedBackTeller(flags: FlagValues): () => void {
  let isToSay = flags.has('verbose');
  return () => {
    if (isToSay) process.stderr.write(`rmtx: ${DIALED_BACK}\n`);
    isToSay = false;
  };
}

/** Writes warnings to stderr, unless somebody wants only errors or data. */
export function warningsFor(flags: FlagValues): (line: string) => void {
  return (line) => {
    if (!flags.has('quiet') && !flags.has('json'))
      process.stderr.write(`rmtx: warning: ${printable(line)}\n`);
  };
}

/** The config that `--config` names or that lies above; undefined only where nothing asked for one. */
export function configIfAny(flags: FlagValues): ResolvedConfig | undefined {
  const configPath = flags.text('config');
  try {
    return resolveConfig({ cwd: process.cwd(), configPath });
  } catch (error) {
    const isAbsent = isRmtxError(error) && error.code === 'ERR_RMTX_CONFIG_NOT_FOUND';
    if (isAbsent && configPath === undefined) return undefined;
    throw error;
  }
}
