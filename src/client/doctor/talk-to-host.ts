/** The steps with a host whose key has answered: what only somebody paired with it is told. */
import { RmtxError, isRmtxError } from '../../errors.js';
import { ALPN_CONTROL } from '../../protocol/messages.js';
import { formatAddress } from '../../transport/address.js';
import { connectForRun, dialAddress } from '../connect.js';
import type { HostConnection } from '../connect.js';
import { callOver } from '../control.js';
import type { Call } from '../control.js';
import type { ClientHome } from '../home.js';
import type { HostChoice } from '../host-choice.js';
import { judgeClock } from './clock-step.js';
import { judgeDisk } from './disk-step.js';
import { askHost, judgePairing, judgeStranger } from './pairing-step.js';
import type { HostAnswer } from './pairing-step.js';
import { judgeRun } from './run-step.js';
import type { StepRunner } from './step-runner.js';
import { newTrialId, tidyTrial, tryRun } from './trial-run.js';
import type { Trial } from './trial-run.js';
import type { Finding } from './verdict.js';
import { judgeVersion, otherProtocol } from './version-step.js';
import type { ReachedHost } from './way-to-host.js';

export interface TalkOptions {
  readonly runner: StepRunner;
  readonly home: ClientHome;
  readonly reached: ReachedHost;
}

const LIMIT_MS = { pairing: 3000, judging: 500, version: 3000, run: 6000 };
/** Of the last limit: what it takes to remove the trial is kept for that. */
const TRIAL_MS = 4500;

/** Takes the steps up to the first that fails. */
export async function talkToHost(options: TalkOptions): Promise<void> {
  const { runner, reached } = options;
  const answer = await takePairing(options);
  if (answer === undefined) return;
  const judge = async (step: 'clock' | 'disk', finding: Finding): Promise<boolean> => {
    const judged = await runner.take(step, LIMIT_MS.judging, () => ({ finding }));
    return judged?.finding.verdict !== 'failed';
  };
  await judge('clock', judgeClock(answer));
  const greeted = await takeVersion(options, answer);
  if (greeted === undefined) return;
  try {
    if (!(await judge('disk', judgeDisk(answer.freeBytes)))) return;
    await runner.take('run', LIMIT_MS.run, async (abortSignal) => {
      const { trial, left } = await runTrial(options, { host: greeted, abortSignal });
      return { finding: judgeRun({ trial, left, loadPercent: reached.loadPercent }) };
    });
  } finally {
    greeted.connection.destroy();
  }
}

async function takePairing(options: TalkOptions): Promise<HostAnswer | undefined> {
  const { runner, reached } = options;
  const where = formatAddress(reached.address);
  const taken = await runner.take('pairing', LIMIT_MS.pairing, async (abortSignal) => {
    if (reached.choice === undefined) return { finding: judgeStranger(where), answer: undefined };
    const answer = await orError(() => ask(reached, abortSignal, askHost));
    return { finding: judgePairing(answer, where), answer };
  });
  return taken?.answer instanceof Error ? undefined : taken?.answer;
}

/** A connection for the trial, once the host has said that it speaks with us. */
async function takeVersion(
  { runner, home, reached }: TalkOptions,
  answer: HostAnswer,
): Promise<HostConnection | undefined> {
  const taken = await runner.take('version', LIMIT_MS.version, async (abortSignal) => {
    const { choice } = reached;
    if (!reached.speaksRuns || choice === undefined)
      return { finding: otherProtocol(answer.version), host: undefined };
    const host = await orError(() => greet(home, { choice, reached, abortSignal }));
    const greeting = host instanceof Error ? host : undefined;
    return { finding: judgeVersion({ hostVersion: answer.version, greeting }), host };
  });
  return taken?.host instanceof Error ? undefined : taken?.host;
}

/** As `exec` connects, at the address that has answered and to no other key. */
async function greet(
  home: ClientHome,
  to: {
    readonly choice: HostChoice;
    readonly reached: ReachedHost;
    readonly abortSignal: AbortSignal;
  },
): Promise<HostConnection> {
  const { address, fingerprint, isDialedBack } = to.reached;
  const dialedBackAt = isDialedBack ? [formatAddress(address)] : [];
  const host = await connectForRun({
    home,
    choice: { ...to.choice, addresses: [address], pins: [fingerprint], dialedBackAt },
    onNotice: () => undefined,
  });
  const onAbort = (): void => host.connection.destroy();
  to.abortSignal.addEventListener('abort', onAbort);
  try {
    await host.welcome;
    return host;
  } catch (error) {
    host.connection.destroy();
    throw error;
  } finally {
    to.abortSignal.removeEventListener('abort', onAbort);
  }
}

/** The trial and the removal of what it leaves, in this order whatever comes of it. */
async function runTrial(
  { home, reached }: TalkOptions,
  on: { readonly host: HostConnection; readonly abortSignal: AbortSignal },
): Promise<{ readonly trial: Trial | Error; readonly left: string | undefined }> {
  const { host, abortSignal } = on;
  const runId = newTrialId();
  const limit = AbortSignal.any([abortSignal, AbortSignal.timeout(TRIAL_MS)]);
  const onLimit = (): void =>
    host.connection.destroy(
      new RmtxError('ERR_RMTX_TIMED_OUT', 'the command did not come to an end in time'),
    );
  limit.addEventListener('abort', onLimit);
  const { platform } = reached;
  const trial = await orError(() =>
    tryRun({ host, runId, platform, anyDirectory: home.directory }),
  );
  limit.removeEventListener('abort', onLimit);
  host.connection.destroy();
  const left = await orError(() => ask(reached, abortSignal, (call) => tidyTrial(call, runId)));
  return { trial, left: left instanceof Error ? left.message : left };
}

/** On a connection of the control API to the very key that answered; closed with the signal. */
async function ask<T>(
  { address, identity, fingerprint, choice, isDialedBack }: ReachedHost,
  abortSignal: AbortSignal,
  use: (call: Call) => Promise<T>,
): Promise<T> {
  const dialed = await dialAddress({
    address,
    identity,
    alpn: ALPN_CONTROL,
    pins: [fingerprint],
    // Where its port was reached a moment ago nobody needs to be asked.
    callService: isDialedBack ? choice?.callService : undefined,
    isCalledAtOnce: isDialedBack,
    abortSignal,
  });
  return callOver(dialed, use);
}

/** What the host or the network has against it is a finding; anything else is a bug. */
async function orError<T>(attempt: () => Promise<T>): Promise<T | Error> {
  try {
    return await attempt();
  } catch (error) {
    if (!isRmtxError(error)) throw error;
    return error;
  }
}
