import type { ForwardRequest } from '../client/forwards.js';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import type { FlagValues } from './arguments.js';

/**
 * What each `-L [LOCAL:]PORT` asks for. Throws ERR_RMTX_BAD_FLAG for anything else, such as ssh's
 * `LOCAL:HOST:PORT`, and for a port here that is asked for twice.
 */
export function forwardRequests(flags: FlagValues): ForwardRequest[] {
  const requests = flags.list('forward').map(parseForward);
  const taken = new Set<number>();
  for (const { localPort } of requests) {
    if (localPort !== 0 && taken.has(localPort))
      throw new RmtxError('ERR_RMTX_BAD_FLAG', `-L asks for port ${localPort} here twice`, {
        hint: 'write LOCAL:PORT with another LOCAL for one of them',
      });
    taken.add(localPort);
  }
  return requests;
}

function parseForward(text: string): ForwardRequest {
  const parts = text.split(':');
  const ports = parts.map(parsePort);
  const [first, second] = ports;
  if (ports.length === 1 && first !== undefined && first > 0)
    return { localPort: first, port: first };
  if (ports.length === 2 && first !== undefined && second !== undefined && second > 0)
    return { localPort: first, port: second };
  throw new RmtxError('ERR_RMTX_BAD_FLAG', `-L ${printable(text)} is not [LOCAL:]PORT`, {
    hint: hintFor(parts),
  });
}

function hintFor(parts: readonly string[]): string {
  const [first = '', , last = ''] = parts;
  const isPort = (text: string): boolean => parsePort(text) !== undefined;
  if (parts.length >= 3)
    return `a run's ports are those of its own host, so no name stands between: -L ${isPort(first) && isPort(last) ? `${first}:${last}` : '8080:3000'}`;
  if (parts.length === 2 && !isPort(first))
    return 'the port is opened on 127.0.0.1 of this machine and nowhere else: -L 3000 or -L 8080:3000';
  return 'ports go from 1 to 65535: -L 3000, or -L 8080:3000; with 0 as LOCAL any free port is taken';
}

/** Undefined for what is none; 0 is one. */
function parsePort(text: string): number | undefined {
  const port = /^(0|[1-9]\d{0,4})$/.test(text) ? Number(text) : undefined;
  return port !== undefined && port <= 65_535 ? port : undefined;
}
