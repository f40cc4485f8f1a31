/**
 * The two ways in which rmtx writes settings: a new `.rmtx.json` where a project has none, and host and
 * pin into `.rmtx.local.json` where it has one. A config that exists is never rewritten.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  openSync,
  rmSync,
} from 'node:fs';
import path from 'node:path';
import { applyEdits, modify } from 'jsonc-parser';
import type { JSONPath } from 'jsonc-parser';
import { RmtxError, systemErrorCode } from '../errors.js';
import { writeFileAtomic, writeFully } from '../util/atomic-file.js';
import { printable } from '../util/printable.js';
import { parseCheckedJson } from './checked-json.js';
import { configShape, localShape } from './config-shape.js';
import { CONFIG_NAMES } from './find-config.js';
import type { FoundConfig } from './find-config.js';
import { excludeLocalConfig } from './git-exclude.js';
import type { ExcludeOutcome } from './git-exclude.js';
import { recognizeProject } from './presets.js';
import { realPathIfExists, refuseUnsafeRoot } from './project-root.js';
import { readConfigFile, refuseForeignOwner } from './read-config-file.js';
import { renderJson } from './render-json.js';
import { DEFAULT_DISCOVERY, defaultContextName, loadConfig } from './resolved-config.js';
import { contextNameComplaint } from './value-checks.js';

/** Meant to be committed and read by everybody who may read the project. */
const CONFIG_MODE = 0o644;
const SCHEMA_IN_PROJECT = 'node_modules/rmtx/rmtx.schema.json';

export interface InitialConfigRequest {
  /** The project's top folder. */
  readonly root: string;
  /** Where the config goes, if not `.rmtx.json` in `root`. */
  readonly configFile?: string | undefined;
  readonly contextName?: string | undefined;
  /** Only what the user named: a host that was discovered may have another address tomorrow. */
  readonly host?: string | undefined;
  readonly fingerprint: string;
  /** The service name under which the host was found, where that is not the usual one. */
  readonly service?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

export interface InitialConfigPlan {
  readonly configFile: string;
  readonly text: string;
  /** 'Node.js', 'Rust' …: what was recognised, for people. */
  readonly kinds: readonly string[];
  readonly ignore: readonly string[];
  readonly keepOnHost: readonly string[];
}

/**
 * The config that suits the project in `root`, an existing folder; writes nothing. Throws
 * ERR_RMTX_PROJECT_ROOT_REFUSED for a home directory or the file system's top, ERR_RMTX_CONFIG_UNTRUSTED
 * for somebody else's folder, and ERR_RMTX_CONFIG_INVALID for a value that no config takes.
 */
export function planInitialConfig(request: InitialConfigRequest): InitialConfigPlan {
  const root = realPathIfExists(request.root) ?? path.resolve(request.root);
  const configFile = request.configFile ?? path.join(root, CONFIG_NAMES[0]);
  // What would be refused at the first run is refused before anybody pairs.
  refuseUnsafeRoot(root, request.env);
  refuseForeignOwner(configFile, root);
  const { kinds, ignore, keepOnHost } = recognizeProject(root);
  const name = request.contextName ?? usableName(defaultContextName(root));
  const text = renderJson({
    ...(existsSync(path.join(root, SCHEMA_IN_PROJECT))
      ? { $schema: `./${SCHEMA_IN_PROJECT}` }
      : {}),
    version: 1,
    ...(name === undefined ? {} : { context: { name } }),
    ...(request.host === undefined ? {} : { host: request.host }),
    tls: { host_fingerprint: request.fingerprint },
    ...(request.service === undefined || request.service === DEFAULT_DISCOVERY.service
      ? {}
      : { discovery: { service: request.service } }),
    mounts: [{ path: '.' }],
    ignore,
    ignore_gitignore: true,
    ...(keepOnHost.length === 0 ? {} : { keep_on_host: keepOnHost }),
  });
  parseCheckedJson(configFile, text, configShape);
  return { configFile, text, kinds, ignore, keepOnHost };
}

/**
 * Writes a planned config, whole or not at all, and has git ignore the local one. Throws
 * ERR_RMTX_CONFIG_EXISTS, and leaves everything as it was, when a file has come to be there.
 */
export function writeInitialConfig(plan: InitialConfigPlan): ExcludeOutcome {
  const { configFile } = plan;
  const temporary = `${configFile}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const fd = openSync(temporary, 'wx', CONFIG_MODE);
    try {
      // Whatever the umask is: a config is for everyone who reads the project.
      fchmodSync(fd, CONFIG_MODE);
      writeFully(fd, Buffer.from(plan.text));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    placeWithoutReplacing(temporary, configFile);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
    throw new RmtxError('ERR_RMTX_CONFIG_EXISTS', `${printable(configFile)} exists already`, {
      hint: 'run rmtx pair to pair again without touching it',
      cause: error,
    });
  } finally {
    rmSync(temporary, { force: true });
  }
  return excludeLocalConfig(path.dirname(configFile));
}

export interface LocalOverride {
  readonly localFile: string;
  /** False where the settings said the same already; nothing was written then. */
  readonly hasChanged: boolean;
  readonly exclude: ExcludeOutcome;
}

/**
 * Puts host and pin into the `.rmtx.local.json` beside an existing config; everything else in it,
 * comments included, stays. What is in force already is not written again. Throws as `resolveConfig` for a
 * config, or a local one, that is not valid; nothing is written then.
 */
export function writeLocalOverride(
  found: FoundConfig,
  values: { readonly host?: string | undefined; readonly fingerprint: string },
  env?: NodeJS.ProcessEnv,
): LocalOverride {
  const { localFile } = found;
  const current = loadConfig(found, env);
  const edits: [JSONPath, string][] = [];
  if (values.host !== undefined && values.host !== current.host)
    edits.push([['host'], values.host]);
  if (values.fingerprint.toLowerCase() !== current.hostFingerprint)
    edits.push([['tls', 'host_fingerprint'], values.fingerprint]);
  if (edits.length > 0) {
    const text = edits.reduce(setValue, readConfigFile(localFile) ?? '{}\n');
    parseCheckedJson(localFile, text, localShape);
    // A rename would replace a link (to a folder of dotfiles, say) by a file of its own.
    const target = realPathIfExists(localFile) ?? localFile;
    writeFileAtomic(target, text, { mode: CONFIG_MODE, isDurable: true });
  }
  const exclude = excludeLocalConfig(path.dirname(localFile));
  return { localFile, hasChanged: edits.length > 0, exclude };
}

function setValue(text: string, [key, value]: [JSONPath, string]): string {
  const formattingOptions = {
    insertSpaces: true,
    tabSize: 2,
    eol: text.includes('\r\n') ? '\r\n' : '\n',
  };
  return applyEdits(text, modify(text, key, value, { formattingOptions }));
}

/** A hard link fails where the name is taken, in one step; where there are none, so does this copy. */
function placeWithoutReplacing(temporary: string, file: string): void {
  try {
    linkSync(temporary, file);
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') throw error;
    copyFileSync(temporary, file, constants.COPYFILE_EXCL);
  }
}

function usableName(name: string): string | undefined {
  return contextNameComplaint(name) === undefined ? name : undefined;
}
