/**
 * What `rmtx doctor` does: the way of a run, one step after the other, from the config to a command that
 * says a word, with what is likely the matter where a step fails. It changes nothing, here or there.
 */
import { mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { loadOrCreateIdentity } from '../trust/identity.js';
import type { Identity } from '../trust/identity.js';
import { removeTree } from '../util/remove-tree.js';
import { checkConfig } from './doctor/config-step.js';
import { checkState } from './doctor/state-step.js';
import { StepRunner } from './doctor/step-runner.js';
import type { StepListener } from './doctor/step-runner.js';
import { talkToHost } from './doctor/talk-to-host.js';
import type { DoctorReport } from './doctor/verdict.js';
import { WayToHost } from './doctor/way-to-host.js';
import type { ClientHome } from './home.js';

export type { DoctorReport, StepReport } from './doctor/verdict.js';

export interface DoctorOptions extends StepListener {
  readonly cwd: string;
  /** `--config`. */
  readonly configPath: string | undefined;
  /** `--host`. */
  readonly host: string | undefined;
  /** Need not exist, and is not made. */
  readonly home: ClientHome;
  readonly env: NodeJS.ProcessEnv;
}

/** Nothing on the network is asked by these. */
const LOCAL_LIMIT_MS = 1000;

/** Takes every step that can be taken. Rejects only for a bug: whatever is wrong is in the report. */
export async function examine(options: DoctorOptions): Promise<DoctorReport> {
  const runner = new StepRunner(options);
  const { home } = options;
  const config = await runner.take('config', LOCAL_LIMIT_MS, () => checkConfig(options));
  const state = await runner.take('state', LOCAL_LIMIT_MS, () => checkState(home));
  if (state?.finding.verdict === 'failed' && state.identity === undefined) return runner.finish();
  const identity = state?.identity ?? (await throwAwayIdentity());
  using way = new WayToHost({ ...options, runner, identity, config: config?.config });
  const reached = await way.find();
  if (reached !== undefined) await talkToHost({ runner, home, reached });
  return runner.finish();
}

/** For whoever has not paired with anybody: without a key there is no handshake. Nothing of it stays. */
async function throwAwayIdentity(): Promise<Identity> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'rmtx-doctor-'));
  try {
    return loadOrCreateIdentity(directory);
  } finally {
    await removeTree(directory);
  }
}
