import type { IncomingMessage, ServerResponse } from 'node:http';
import { RmtxError, isRmtxError } from '../errors.js';
import { messageFields } from '../protocol/bad-message.js';
import type { Fields } from '../util/fields.js';
import { encodeWireError } from '../protocol/wire-error.js';
import { printable } from '../util/printable.js';

const MAX_BODY_BYTES = 64 * 1024;

/** Answers one request of the control API with a JSON document. */
export type RouteHandler = (body: Fields) => object | Promise<object>;
/** `METHOD /path` → handler. */
export type Routes = Readonly<Record<string, RouteHandler>>;

/**
 * Serves a table of JSON routes. Every failure is `{"error": {code, message, hint}}`; an unknown path
 * is 404; a body is at most 64 KiB.
 */
export async function serveRoutes(
  routes: Routes,
  exchange: {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly log: (line: string) => void;
  },
): Promise<void> {
  const { request, response, log } = exchange;
  const route = `${request.method ?? ''} ${(request.url ?? '').split('?')[0] ?? ''}`;
  try {
    const handler = Object.hasOwn(routes, route) ? routes[route] : undefined;
    if (handler === undefined) {
      respond(response, 404, errorBody(new RmtxError('ERR_RMTX_BAD_MESSAGE', 'no such path')));
      return;
    }
    respond(response, 200, await handler(messageFields(await readBody(request), 'request')));
  } catch (error) {
    if (!isRmtxError(error)) log(`${route} failed: ${describeFailure(error)}`);
    respond(response, statusOf(error), errorBody(error));
  }
}

export function respond(response: ServerResponse, status: number, body: object): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}

export function errorBody(error: unknown): object {
  const known = isRmtxError(error)
    ? error
    : new RmtxError('ERR_RMTX_HOST_FAILED', 'the host failed to answer: its log says why');
  return { error: encodeWireError(known) };
}

/** For the log of the host's owner. */
export function describeFailure(error: unknown): string {
  if (isRmtxError(error)) return `${error.code} ${error.message}`;
  return printable(error instanceof Error ? (error.stack ?? error.message) : String(error));
}

function statusOf(error: unknown): number {
  if (!isRmtxError(error)) return 500;
  if (error.code.endsWith('_NOT_FOUND')) return 404;
  return error.family === 'protocol' || error.family === 'usage' ? 400 : 409;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MAX_BODY_BYTES)
      throw new RmtxError('ERR_RMTX_FRAME_TOO_LARGE', 'the request body is too large');
    parts.push(part);
  }
  if (length === 0) return {};
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8')) as unknown;
  } catch (error) {
    throw new RmtxError('ERR_RMTX_BAD_MESSAGE', 'the request body is not JSON', { cause: error });
  }
}
