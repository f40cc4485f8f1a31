import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { pingHost } from '../../client/control.js';
import type { PingAnswer } from '../../client/control.js';
import { openClientHome } from '../../client/home.js';
import type { PairedHost } from '../../client/pair.js';
import { previewProject } from '../../client/preview.js';
import { findConfig } from '../../config/find-config.js';
import type { FoundConfig } from '../../config/find-config.js';
import { realPathIfExists, refuseUnsafeRoot } from '../../config/project-root.js';
import { DEFAULT_DISCOVERY, loadConfig, resolveConfig } from '../../config/resolved-config.js';
import {
  planInitialConfig,
  writeInitialConfig,
  writeLocalOverride,
} from '../../config/write-config.js';
import { RmtxError, systemErrorCode } from '../../errors.js';
import { printable } from '../../util/printable.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { pairAt, pairedBefore, pairingTarget } from '../pairing.js';
import { renderError } from '../report/error.js';
import { initLines } from '../report/init-text.js';
import type { InitOutcome } from '../report/init-text.js';
import { jsonDocument } from '../report/json.js';
import { previewJson } from '../report/preview.js';
import type { Preview } from '../report/preview.js';
import { tabLine } from '../report/text.js';

export { recover } from '../recovery.js';

/**
 * Everything that can be refused is refused first, then the pairing, then the write: nobody reads a
 * code aloud for a project that cannot be used, and no config names a host that was never paired.
 */
export async function run({ flags }: Invocation): Promise<number> {
  const place = checkedPlace(flags);
  const found = place.found;
  const current = found === undefined ? undefined : loadConfig(found);
  const target = await pairingTarget(flags, {
    address: current?.host,
    fingerprint: undefined,
    usual: current?.hostFingerprint,
    discovery: current?.discovery ?? DEFAULT_DISCOVERY,
  });
  const paired = (await pairedBefore(target, flags)) ?? (await pairAt(target, flags));
  const values: HostValues = {
    host: flags.has('host') ? paired.address : undefined,
    fingerprint: paired.fingerprint,
    service: target.service,
  };
  const outcome = found === undefined ? create(place, values) : join(found, values);
  const preview = await previewIfPossible(outcome.configFile);
  const ping = await pingIfPossible(paired);
  const { configFile } = outcome;
  const { name, address, fingerprint } = paired;
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({
          initialized: { config: configFile, host: name, address, fingerprint },
          ...(preview === undefined ? {} : previewJson(preview)),
          ...(ping === undefined ? {} : { ping: { rtt_ms: ping.rttMs, version: ping.version } }),
        })
      : tabLine('initialized', configFile, address, fingerprint),
  );
  if (!flags.has('quiet') && !flags.has('json'))
    for (const line of initLines({ outcome, preview, ping })) process.stderr.write(`${line}\n`);
  return 0;
}

interface Place {
  /** The project's top folder. */
  readonly root: string;
  readonly configFile: string | undefined;
  /** The config that is there already. */
  readonly found: FoundConfig | undefined;
}

/** Where the config is or will be. Throws before anything is asked where that place will not do. */
function checkedPlace(flags: FlagValues): Place {
  const cwd = process.cwd();
  const named = flags.text('config');
  const configFile = named === undefined ? undefined : path.resolve(named);
  const exists = configFile === undefined || statSync(configFile, { throwIfNoEntry: false });
  const found = exists === undefined ? undefined : findConfig({ cwd, configPath: configFile });
  const folder = configFile === undefined ? cwd : path.dirname(configFile);
  const root = found?.projectRoot ?? realPathIfExists(folder);
  if (root === undefined)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', `the folder ${printable(folder)} does not exist`);
  refuseUnsafeRoot(root);
  refuseReadOnly(found === undefined ? root : path.dirname(found.localFile));
  return { root, configFile, found };
}

function refuseReadOnly(folder: string): void {
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new RmtxError(
      'ERR_RMTX_CONFIG_INVALID',
      `no config can be written to ${printable(folder)} (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error },
    );
  }
}

interface HostValues {
  readonly host: string | undefined;
  readonly fingerprint: string;
  readonly service: string | undefined;
}

function create({ root, configFile }: Place, values: HostValues): InitOutcome {
  const plan = planInitialConfig({ root, configFile, ...values });
  warnOfGit(writeInitialConfig(plan));
  return {
    kind: 'created',
    configFile: plan.configFile,
    projectKinds: plan.kinds,
    ignore: plan.ignore,
    keepOnHost: plan.keepOnHost,
  };
}

function join(found: FoundConfig, values: HostValues): InitOutcome {
  const { localFile, hasChanged, exclude } = writeLocalOverride(found, values);
  warnOfGit(exclude);
  return { kind: 'joined', configFile: found.configFile, localFile, hasChanged };
}

function warnOfGit(exclude: ReturnType<typeof writeInitialConfig>): void {
  if (exclude === 'not-writable')
    process.stderr.write(
      'rmtx: warning: .git/info/exclude cannot be written: keep .rmtx.local.json out of commits yourself\n',
    );
}

/** The pairing and the config stand whatever the look at the files meets. */
async function previewIfPossible(configPath: string): Promise<Preview | undefined> {
  try {
    return await previewProject(resolveConfig({ cwd: process.cwd(), configPath }));
  } catch (error) {
    process.stderr.write(renderError(error, { isJson: false, isVerbose: false }));
    return undefined;
  }
}

/** The first call as a paired client: whoever sees it answered knows that runs will work. */
async function pingIfPossible(paired: PairedHost): Promise<PingAnswer | undefined> {
  try {
    const home = openClientHome();
    return await pingHost({ home, host: paired.address, config: undefined });
  } catch (error) {
    process.stderr.write(renderError(error, { isJson: false, isVerbose: false }));
    return undefined;
  }
}
