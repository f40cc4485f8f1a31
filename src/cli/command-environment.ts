import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';

/**
 * The variables that `--env K[=V]` asks for; a name alone takes its value from `env`. Throws a usage
 * error for a name that no variable can have, and for one that is not set: the command would run
 * without it and fail later, elsewhere. Values are never part of a message.
 */
export function requestedEnvironment(
  requests: readonly string[],
  env: NodeJS.ProcessEnv,
): ReadonlyMap<string, string> {
  const chosen = new Map<string, string>();
  for (const request of requests) {
    const equals = request.indexOf('=');
    const name = equals < 0 ? request : request.slice(0, equals);
    if (name === '')
      throw new RmtxError('ERR_RMTX_BAD_FLAG', '--env needs a name before =', {
        hint: '--env NAME=VALUE, or --env NAME for the value from here',
      });
    const value = equals < 0 ? env[name] : request.slice(equals + 1);
    if (value === undefined)
      throw new RmtxError('ERR_RMTX_BAD_FLAG', `--env ${printable(name)}: it is not set here`, {
        hint: `give it a value: --env ${printable(name)}=…`,
      });
    chosen.set(name, value);
  }
  return chosen;
}
