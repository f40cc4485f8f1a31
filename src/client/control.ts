/** The control API of a paired host, called over the same pinned TLS with undici. */
import { Client } from 'undici';
import { contextKey } from '../config/context-key.js';
import type { ResolvedConfig } from '../config/resolved-config.js';
import { RmtxError } from '../errors.js';
import { messageFields } from '../protocol/bad-message.js';
import type { Fields } from '../util/fields.js';
import { parseHardwareAddresses } from '../protocol/host-message-codec.js';
import { ALPN_CONTROL } from '../protocol/messages.js';
import { parseWireError } from '../protocol/wire-error.js';
import { rememberWakeAddresses } from '../trust/known-hosts.js';
import { dialHost } from './connect.js';
import type { DialedHost } from './connect.js';
import { hostsDirectory } from './home.js';
import type { ClientHome } from './home.js';
import { chooseHost } from './host-choice.js';
import type { ChooseHostOptions } from './host-choice.js';
import { pruneProjects } from './prune.js';
import type { PrunedProject } from './prune.js';

export interface HostTarget {
  readonly home: ClientHome;
  /** `--host`. */
  readonly host: string | undefined;
  readonly config: ResolvedConfig | undefined;
  /** `--discovery-timeout`. */
  readonly discoveryTimeoutMs?: number | undefined;
  /** Told in one line which rule chose the host, and where it was found. */
  readonly onChosen?: ((rule: string, address: string) => void) | undefined;
  readonly onDialedBack?: (() => void) | undefined;
  /** Told in one line what of the paired hosts could not be read. */
  readonly warn?: (line: string) => void;
}

const ANSWER_TIMEOUT_MS = 60_000;
/** Then the system asks whether the host still is there, each second; ten times in vain is the end. */
const KEEP_ALIVE_MS = 10_000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export interface PingAnswer {
  readonly name: string;
  readonly address: string;
  readonly version: string;
  readonly contexts: number;
  readonly rttMs: number;
  readonly fingerprint: string;
  /** ISO 8601, the host's clock. */
  readonly at: string;
}

export async function pingHost(target: HostTarget): Promise<PingAnswer> {
  return withHost(target, async (call, dialed) => {
    await call('GET', '/v1/ping');
    // The second one, on a connection that stands, is the round trip.
    const startedAt = performance.now();
    const answer = await call('GET', '/v1/ping');
    const rttMs = Math.round((performance.now() - startedAt) * 100) / 100;
    rememberWakeAddresses(
      hostsDirectory(target.home),
      dialed.peerFingerprint,
      parseHardwareAddresses(answer),
    );
    return {
      rttMs,
      name: answer.string('name'),
      address: dialed.address,
      version: answer.string('version'),
      contexts: answer.integer('contexts', 0),
      fingerprint: dialed.peerFingerprint,
      at: answer.string('now'),
    };
  });
}

export interface ContextInfo {
  readonly id: string;
  readonly name: string;
  readonly updatedAt: string;
  readonly active: boolean;
  readonly sizeBytes: number;
  readonly workspace: string;
}

export async function listContexts(target: HostTarget): Promise<ContextInfo[]> {
  return withHost(target, async (call) =>
    (await call('GET', '/v1/contexts')).objects('contexts', 100_000).map((context) => ({
      id: context.string('id'),
      name: context.string('name'),
      updatedAt: context.string('updated_at'),
      active: context.boolean('active'),
      sizeBytes: context.integer('size_bytes', 0),
      workspace: context.string('workspace'),
    })),
  );
}

export interface NamedContext {
  readonly id: string;
  readonly name: string;
}

/** `current` is the context of the project whose config was found. */
export async function deleteContexts(
  target: HostTarget,
  which: readonly string[] | 'current',
): Promise<{ deleted: NamedContext[]; notFound: string[] }> {
  const body = which === 'current' ? { context_key: currentKey(target) } : { ids: which };
  return withHost(target, async (call) => {
    const answer = await call('POST', '/v1/contexts/delete', body);
    return { deleted: namedContexts(answer), notFound: answer.strings('not_found', 1000) };
  });
}

export async function pruneContexts(
  target: HostTarget,
  which: { readonly all: true } | { readonly olderThanMs: number },
): Promise<{ deleted: NamedContext[] }> {
  const olderThanMs = 'all' in which ? 0 : which.olderThanMs;
  return withHost(target, async (call) => ({
    deleted: namedContexts(
      await call('POST', '/v1/contexts/prune', { older_than_ms: olderThanMs }),
    ),
  }));
}

export interface PrunedCache {
  readonly local: { readonly deleted: readonly PrunedProject[]; readonly bytes: number };
  readonly host: {
    readonly deleted: readonly { kind: string; name: string; path: string }[];
    readonly bytes: number;
    /** A run of this client is going on there, so nothing was touched. */
    readonly isInUse: boolean;
  };
}

/** Both sides; what was removed here is reported also where the host cannot be reached. */
export async function pruneCache(
  target: HostTarget,
  options: { readonly isDryRun: boolean; readonly onLocal: (pruned: PrunedCache['local']) => void },
): Promise<PrunedCache> {
  const local = pruneProjects(target.home, options);
  options.onLocal(local);
  const host = await withHost(target, async (call) => {
    const answer = await call('POST', '/v1/cache/prune', { dry_run: options.isDryRun });
    return {
      bytes: answer.integer('bytes', 0),
      isInUse: answer.boolean('in_use'),
      deleted: answer.objects('deleted', 1_000_000).map((item) => ({
        kind: item.string('kind'),
        name: item.string('name'),
        path: item.string('path'),
      })),
    };
  });
  return { local, host };
}

function namedContexts(answer: Fields): NamedContext[] {
  return answer
    .objects('deleted', 100_000)
    .map((context) => ({ id: context.string('id'), name: context.string('name') }));
}

function currentKey({ config }: HostTarget): string {
  if (config === undefined)
    throw new RmtxError('ERR_RMTX_CONFIG_NOT_FOUND', 'there is no current project here', {
      hint: "change into a project with a .rmtx.json, or name the context's id",
    });
  return contextKey(config.projectRoot, config.contextName);
}

export function choiceOptions(target: HostTarget): ChooseHostOptions {
  const { home, host, config, discoveryTimeoutMs, warn } = target;
  return { home, named: host, config, discoveryTimeoutMs, warn };
}

/** One request; throws what the host answers where it refuses. */
export type Call = (method: 'GET' | 'POST', path: string, body?: object) => Promise<Fields>;

export interface CallLimits {
  /** Ends the dialling, and every request. */
  readonly abortSignal?: AbortSignal;
  /**
   * How long to wait for an answer before the connection counts as lost. 0: the host answers when something has
   * ended, however long that takes; only where it is gone nobody waits for it.
   */
  readonly answerLimitMs?: number;
}

/** Connects for as many requests as `use` makes. */
export async function withHost<T>(
  target: HostTarget,
  use: (call: Call, dialed: DialedHost) => Promise<T>,
  limits: CallLimits = {},
): Promise<T> {
  const choice = chooseHost(choiceOptions(target));
  const { abortSignal } = limits;
  const dialed = await dialHost({
    home: target.home,
    choice,
    alpn: ALPN_CONTROL,
    abortSignal,
    onDialedBack: target.onDialedBack,
  });
  target.onChosen?.(choice.rule, dialed.address);
  if (limits.answerLimitMs === 0) dialed.socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return callOver(dialed, (call) => use(call, dialed), limits);
}

/** As many requests as `use` makes, on a connection of ALPN_CONTROL; it is closed then. */
export async function callOver<T>(
  { socket }: Pick<DialedHost, 'socket'>,
  use: (call: Call) => Promise<T>,
  { abortSignal, answerLimitMs = ANSWER_TIMEOUT_MS }: CallLimits = {},
): Promise<T> {
  let isConnected = false;
  const client = new Client('https://rmtx', {
    // The stream is dialled, secured and pinned already; undici only speaks HTTP on it. It must not be
    // handed over before connect has returned: undici would never send the request then. Nor twice:
    // where the host closed it undici asks for another.
    connect: (_options, callback) => {
      const wasConnected = isConnected;
      isConnected = true;
      setImmediate(() => {
        if (wasConnected) callback(new Error('the host closed the connection'), null);
        else callback(null, socket);
      });
    },
    headersTimeout: answerLimitMs,
    bodyTimeout: answerLimitMs,
    maxResponseSize: MAX_ANSWER_BYTES,
  });
  try {
    const call: Call = (method, path, body) =>
      callOnce(client, { method, path, body, abortSignal });
    return await use(call);
  } finally {
    await client.destroy();
  }
}

async function callOnce(
  client: Client,
  request: {
    readonly method: 'GET' | 'POST';
    readonly path: string;
    readonly body: object | undefined;
    readonly abortSignal: AbortSignal | undefined;
  },
): Promise<Fields> {
  let status: number;
  let value: unknown;
  try {
    const response = await client.request({
      method: request.method,
      path: request.path,
      headers: { 'content-type': 'application/json' },
      ...(request.abortSignal === undefined ? {} : { signal: request.abortSignal }),
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
    status = response.statusCode;
    value = await response.body.json();
  } catch (error) {
    throw new RmtxError('ERR_RMTX_CONNECTION_LOST', 'the host did not answer', { cause: error });
  }
  const fields = messageFields(value, 'answer');
  if (status !== 200) throw parseWireError(fields.raw('error'));
  return fields;
}
