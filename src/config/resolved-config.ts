/**
 * A project's settings as the rest of rmtx sees them: found, read, checked, defaults filled in, this
 * person's overrides merged, and the origin of each value known. This is on the way of every `exec`, so
 * it reads two small files, starts no process and needs nothing but the JSONC parser.
 */
import path from 'node:path';
import { RmtxError } from '../errors.js';
import { parseDuration } from '../util/units.js';
import { parseCheckedJson } from './checked-json.js';
import type { CheckedJson } from './checked-json.js';
import { configShape, localShape } from './config-shape.js';
import { printable } from '../util/printable.js';
import { findConfig } from './find-config.js';
import type { FoundConfig } from './find-config.js';
import { resolveMounts, resolveSyncBack } from './mounts.js';
import type { MountConfig } from './mounts.js';
import { normalizePattern } from './patterns.js';
import { refuseUnsafeRoot } from './project-root.js';
import { readConfigFile, refuseForeignOwner } from './read-config-file.js';
import { resolveRuntime } from './runtime-config.js';
import type { RuntimeConfig } from './runtime-config.js';

export type ConfigOrigin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number };

export interface DiscoverySettings {
  readonly isEnabled: boolean;
  readonly service: string;
  readonly timeoutMs: number;
}

export interface ResolvedConfig {
  /** Real path. */
  readonly projectRoot: string;
  readonly configFile: string;
  /** Undefined where there is no `.rmtx.local.json`. */
  readonly localFile: string | undefined;
  readonly contextName: string;
  /** A hint where to look; the pinned key decides. */
  readonly host: string | undefined;
  /** `sha256:` and 64 lower-case hex digits. */
  readonly hostFingerprint: string | undefined;
  readonly discovery: DiscoverySettings;
  /** At least one, no path twice. */
  readonly mounts: readonly MountConfig[];
  readonly ignore: readonly string[];
  readonly ignoreGitignore: boolean;
  /** Null: everything that is mounted and not ignored. Empty: nothing. */
  readonly syncBack: readonly string[] | null;
  /** May hold the word ':gitignored'. */
  readonly keepOnHost: readonly string[];
  /** Names and patterns, see `forwardedEnvironment`. */
  readonly envForward: readonly string[];
  readonly runtime: RuntimeConfig;
  /** By dotted key as in the file; what is not in it is a default. */
  readonly origins: ReadonlyMap<string, ConfigOrigin>;
}

export interface ResolveOptions {
  /** Absolute. */
  readonly cwd: string;
  /** `--config`. */
  readonly configPath?: string | undefined;
  /** For the home directory, which is refused as a project root. */
  readonly env?: NodeJS.ProcessEnv | undefined;
}

const DEFAULT_IGNORE = ['.git/**'];
/** How hosts are looked for where no config says it. */
export const DEFAULT_DISCOVERY: DiscoverySettings = {
  isEnabled: true,
  service: 'rmtx',
  timeoutMs: 750,
};
/** A folder's name may be longer than a context's name. */
const MAX_DEFAULT_NAME_LENGTH = 100;

/**
 * The settings for `cwd`. Throws ERR_RMTX_CONFIG_NOT_FOUND, ERR_RMTX_CONFIG_INVALID with file, line and
 * key, ERR_RMTX_CONFIG_UNTRUSTED, ERR_RMTX_PROJECT_ROOT_REFUSED or ERR_RMTX_SYNC_BACK_OUTSIDE_MOUNTS.
 */
export function resolveConfig(options: ResolveOptions): ResolvedConfig {
  const found = findConfig(options);
  if (found !== undefined) return loadConfig(found, options.env);
  throw new RmtxError(
    'ERR_RMTX_CONFIG_NOT_FOUND',
    options.configPath === undefined
      ? `no .rmtx.json in ${printable(options.cwd)} or any folder above it`
      : `the config ${printable(options.configPath)} does not exist`,
    { hint: "run rmtx init in the project's top folder" },
  );
}

/** The settings of a config that `findConfig` found. Throws as {@link resolveConfig}. */
export function loadConfig(
  found: FoundConfig,
  env: NodeJS.ProcessEnv | undefined = process.env,
): ResolvedConfig {
  const text = readConfigFile(found.configFile);
  if (text === undefined)
    throw new RmtxError(
      'ERR_RMTX_CONFIG_INVALID',
      `${printable(found.configFile)}: is a link to nothing, or was removed just now`,
    );
  // A linked worktree is governed by a config that lies elsewhere.
  refuseForeignOwner(found.configFile, found.projectRoot);
  refuseUnsafeRoot(found.projectRoot, env);
  return resolve(found, parseCheckedJson(found.configFile, text, configShape), readLocal(found));
}

type Shared = CheckedJson<typeof configShape>;
type Local = CheckedJson<typeof localShape>;

function readLocal(found: FoundConfig): Local | undefined {
  const text = readConfigFile(found.localFile);
  return text === undefined ? undefined : parseCheckedJson(found.localFile, text, localShape);
}

function resolve(found: FoundConfig, shared: Shared, local: Local | undefined): ResolvedConfig {
  const { value, source } = shared;
  const own = local?.value;
  const { projectRoot } = found;
  const mounts = resolveMounts(
    value.mounts,
    { projectRoot, namedRoot: path.dirname(found.configFile) },
    source,
  );
  return {
    projectRoot,
    configFile: found.configFile,
    localFile: local === undefined ? undefined : found.localFile,
    contextName: value.context?.name ?? defaultContextName(projectRoot),
    host: own?.host ?? value.host,
    hostFingerprint: (own?.tls?.host_fingerprint ?? value.tls?.host_fingerprint)?.toLowerCase(),
    discovery: {
      isEnabled: value.discovery?.enabled ?? DEFAULT_DISCOVERY.isEnabled,
      service: value.discovery?.service ?? DEFAULT_DISCOVERY.service,
      timeoutMs: parseDuration(value.discovery?.timeout ?? '') ?? DEFAULT_DISCOVERY.timeoutMs,
    },
    mounts,
    ignore: (value.ignore ?? DEFAULT_IGNORE).map(normalizePattern),
    ignoreGitignore: value.ignore_gitignore ?? false,
    syncBack: resolveSyncBack(value.sync_back, mounts, source),
    keepOnHost: (value.keep_on_host ?? []).map(normalizePattern),
    envForward: own?.env?.forward ?? value.env?.forward ?? [],
    runtime: resolveRuntime(value.runtime, source),
    origins: new Map([...originsOf(shared), ...(local === undefined ? [] : originsOf(local))]),
  };
}

/** The name that a context has where the config gives none. */
export function defaultContextName(projectRoot: string): string {
  // By code points, so that no character is cut in half.
  return Array.from(path.basename(projectRoot)).slice(0, MAX_DEFAULT_NAME_LENGTH).join('');
}

function originsOf({ lines, source }: Shared | Local): [string, ConfigOrigin][] {
  return Array.from(lines, ([key, line]) => [key, { kind: 'file', file: source.file, line }]);
}
