import { isRmtxError } from '../../errors.js';
import type { Fields } from '../../util/fields.js';
import { printable } from '../../util/printable.js';
import { failed, ok } from './verdict.js';
import type { Finding } from './verdict.js';

/** What a host says to a client that it knows. */
export interface HostAnswer {
  readonly name: string;
  readonly version: string;
  /** The host's clock, and when it was read here, half-way between question and answer: milliseconds. */
  readonly hostMs: number;
  readonly ownMs: number;
  /** How long the way there and back took. */
  readonly rttMs: number;
  /** Undefined for a host that does not say. */
  readonly freeBytes: number | undefined;
}

/** Asks the host; throws what it answers where it refuses. */
export async function askHost(
  call: (method: 'GET', path: string) => Promise<Fields>,
): Promise<HostAnswer> {
  const startedMs = Date.now();
  const startedAt = performance.now();
  const answer = await call('GET', '/v1/ping');
  const rttMs = performance.now() - startedAt;
  return {
    name: answer.string('name', 256),
    version: answer.string('version', 256),
    hostMs: Date.parse(answer.string('now', 64)),
    ownMs: startedMs + rttMs / 2,
    rttMs,
    freeBytes: answer.optionalInteger('free_bytes', 0),
  };
}

/** Whether the host still knows this client. `answer` is what it said, or what asking has thrown. */
export function judgePairing(answer: HostAnswer | Error, where: string): Finding {
  if (!(answer instanceof Error)) return ok(`${printable(answer.name)} knows this machine`);
  const code = isRmtxError(answer) ? answer.code : undefined;
  const message = printable(answer.message);
  if (code === 'ERR_RMTX_NOT_PAIRED')
    return failed(message, {
      code: 'revoked',
      cause:
        'the pairing was revoked there, or the host got a new state directory with its old key',
      cure: ['on the host: rmtx host pair-code', `then here: rmtx pair --host ${where}`],
    });
  return code !== undefined && code !== 'ERR_RMTX_CONNECTION_LOST'
    ? failed(message, {
        code: 'host-failed',
        cause: 'the host does not answer as it should: another version, or a fault of it',
        cure: ['on the host, see its log, and rmtx version on both machines'],
      })
    : failed('the host did not answer', {
        code: 'host-load',
        cause: 'the host hangs, or is under too much load to answer',
        cure: ['on the host, see what keeps it busy; then restart: rmtx host'],
      });
}

/** Not paired at all: what was found so far is all that a stranger can see. */
export function judgeStranger(where: string): Finding {
  return failed('this machine is not paired with that host', {
    code: 'not-paired',
    cause: 'nobody has paired them yet; the way to the host is well',
    cure: [
      `on the host: rmtx host pair-code`,
      `then here, in the project's top folder: rmtx init --host ${where}`,
    ],
  });
}
