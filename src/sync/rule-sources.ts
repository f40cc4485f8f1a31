/** The data form of the rules: made at the client, sent to the host, kept beside an index. */
import { RmtxError } from '../errors.js';
import { parseWorkspacePath } from './entry.js';
import type { WorkspacePath } from './entry.js';
import type { GitignoreSource } from './gitignore.js';

export interface MountSource {
  /** Relative to the project root; '' and '.' are the root itself. May be a file. */
  readonly path: string;
  readonly exclude: readonly string[];
}

/** Everything that decides which paths take part. Plain data, the same on both sides. */
export interface RuleSources {
  readonly mounts: readonly MountSource[];
  readonly ignore: readonly string[];
  /** Null where the config has no `sync_back`: all that is synced may come home. */
  readonly syncBack: readonly string[] | null;
  readonly keepOnHost: readonly string[];
  /**
   * Lowest priority first: the user's own file and info/exclude, then each .gitignore, parents before
   * children. Null where neither `ignore_gitignore` nor `:gitignored` asks for them.
   */
  readonly gitignore: readonly GitignoreSource[] | null;
  /** Git's core.ignoreCase. For the lines of .gitignore only. */
  readonly isCaseInsensitive: boolean;
  /**
   * Directories in the project that are rmtx's own: its state, with the private key. They take no part, and no
   * host writes there. Left out: none.
   */
  readonly own?: readonly WorkspacePath[];
}

/** The whole project, and nothing left out. */
export const NO_RULES: RuleSources = {
  mounts: [{ path: '', exclude: [] }],
  ignore: [],
  syncBack: null,
  keepOnHost: [],
  gitignore: null,
  isCaseInsensitive: false,
};

/** In `keep_on_host`: all that .gitignore ignores. */
export const GITIGNORED = ':gitignored';

export function encodeRuleSources(sources: RuleSources): Buffer {
  return Buffer.from(JSON.stringify(sources));
}

/** Reads what {@link encodeRuleSources} wrote; throws BAD_MESSAGE that names the field for anything else. */
export function decodeRuleSources(bytes: Uint8Array): RuleSources {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch (cause) {
    throw new RmtxError('ERR_RMTX_BAD_MESSAGE', 'the rules are not JSON', { cause });
  }
  return parseRuleSources(value);
}

export function parseRuleSources(value: unknown): RuleSources {
  const rules = record(value, 'rules');
  return {
    mounts: list(rules['mounts'], 'mounts', parseMount),
    ignore: list(rules['ignore'], 'ignore', text),
    syncBack: rules['syncBack'] === null ? null : list(rules['syncBack'], 'syncBack', text),
    keepOnHost: list(rules['keepOnHost'], 'keepOnHost', text),
    gitignore:
      rules['gitignore'] === null ? null : list(rules['gitignore'], 'gitignore', parseFile),
    isCaseInsensitive: flag(rules['isCaseInsensitive'], 'isCaseInsensitive'),
    ...(rules['own'] === undefined ? {} : { own: list(rules['own'], 'own', workspacePath) }),
  };
}

function parseMount(value: unknown, at: string): MountSource {
  const mount = record(value, at);
  const path = text(mount['path'], `${at}.path`);
  return { path, exclude: list(mount['exclude'], `${at}.exclude`, text) };
}

function parseFile(value: unknown, at: string): GitignoreSource {
  const file = record(value, at);
  const prefix = file['prefix'];
  return {
    directory: text(file['directory'], `${at}.directory`),
    source: text(file['source'], `${at}.source`),
    text: text(file['text'], `${at}.text`),
    ...(prefix === undefined ? {} : { prefix: text(prefix, `${at}.prefix`) }),
  };
}

function workspacePath(value: unknown, at: string): WorkspacePath {
  const path = parseWorkspacePath(text(value, at));
  if (path === undefined) throw wrong(at);
  return path;
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(at);
  return value as Record<string, unknown>;
}

function list<T>(value: unknown, at: string, item: (value: unknown, at: string) => T): T[] {
  if (!Array.isArray(value)) throw wrong(at);
  return value.map((one: unknown, index) => item(one, `${at}[${index}]`));
}

function text(value: unknown, at: string): string {
  if (typeof value !== 'string') throw wrong(at);
  return value;
}

function flag(value: unknown, at: string): boolean {
  if (typeof value !== 'boolean') throw wrong(at);
  return value;
}

function wrong(at: string): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', `the rules have a wrong value at ${at}`);
}
