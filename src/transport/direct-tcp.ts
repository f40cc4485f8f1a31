import net from 'node:net';
import type { Duplex } from 'node:stream';
import { RmtxError, systemErrorCode } from '../errors.js';
import { formatAddress } from './address.js';
import type { Address } from './address.js';
import type { Transport } from './transport.js';

const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: is rmtx host running on it?',
  EHOSTUNREACH: 'no route to it: is it on, and in the same network?',
  ENETUNREACH: 'this machine has no network that leads there',
  ENOTFOUND: 'the name is unknown: try its IP address',
  EAI_AGAIN: 'the name could not be looked up: try its IP address',
  ETIMEDOUT: 'no answer: a firewall, or the machine is off or asleep',
};

/**
 * Plain TCP to an address. The signal also ends what is built on the connection: it destroys it. The stream is
 * paused: what comes before somebody reads, an end or a reset included, is there for them.
 */
export function directTcp(address: Address): Transport {
  const description = formatAddress(address);
  return {
    description,
    dial: ({ timeoutMs, abortSignal }) =>
      new Promise<Duplex>((resolve, reject) => {
        const socket = net.connect({ ...address, noDelay: true });
        socket.pause();
        const fail = (cause: unknown): void => {
          clearTimeout(timer);
          socket.destroy();
          reject(unreachable(description, cause));
        };
        const timer = setTimeout(
          () => fail(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })),
          timeoutMs,
        );
        abortSignal?.addEventListener('abort', () => fail(abortSignal.reason), { once: true });
        socket.once('error', fail);
        socket.once('connect', () => {
          clearTimeout(timer);
          socket.off('error', fail);
          resolve(socket);
        });
      }),
  };
}

function unreachable(description: string, cause: unknown): RmtxError {
  const code = systemErrorCode(cause) ?? innerCode(cause) ?? 'unknown';
  return new RmtxError(
    'ERR_RMTX_HOST_UNREACHABLE',
    `cannot reach the host at ${description} (${code})`,
    { hint: CAUSES[code] ?? 'check the address and the network', cause },
  );
}

/** A name with several addresses fails with an AggregateError of one error for each. */
function innerCode(cause: unknown): string | undefined {
  return cause instanceof AggregateError ? systemErrorCode(cause.errors[0]) : undefined;
}
