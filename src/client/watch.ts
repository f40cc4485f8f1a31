/** Reads a run's output without changing anything for anybody. */
import { isRmtxError } from '../errors.js';
import type { RmtxError } from '../errors.js';
import { choiceOptions } from './control.js';
import type { HostTarget } from './control.js';
import { DIALED_BACK, isConnectionLoss } from './connect.js';
import { chooseHostOfRun } from './host-choice.js';
import { HostLink, RECONNECT_LIMIT_MS } from './host-link.js';
import type { RunSinks } from './run-events.js';
import { RunTeller } from './run-teller.js';
import { RunTicket } from './run-ticket.js';
import { RunStreams } from './streams.js';

export interface WatchOptions {
  readonly target: HostTarget;
  readonly runId: string;
  /** The first byte that is wanted of each stream. */
  readonly sinceByte: number;
  /** Stay until the output has ended; else it is read as far as it goes. */
  readonly isFollowed: boolean;
}

/** Resolves when everything that was asked for is handed over; that a run was lost is said behind its output. */
export async function watchRun(options: WatchOptions, sinks: RunSinks): Promise<void> {
  const { target, runId, sinceByte, isFollowed } = options;
  const teller = new RunTeller(sinks);
  const ticket = RunTicket.find(target.home, runId);
  using link = new HostLink({
    home: target.home,
    abortSignal: new AbortController().signal,
    limitMs: RECONNECT_LIMIT_MS,
    choose: () => chooseHostOfRun({ ...choiceOptions(target), warn: undefined }, ticket?.details),
    onNotice: (code, text) => teller.hostSays(code, text),
    onOutage: (outage) => teller.outage(outage, 'running'),
    onDialedBack: () => teller.detail('dialed-back', DIALED_BACK),
  });
  const streams = new RunStreams({ sinks, offsets: { stdout: sinceByte, stderr: sinceByte } });
  for (;;) {
    const { stdout, stderr } = streams.offsets;
    const { host, answer } = await link.connect(async (connected) => {
      connected.send({
        type: 'run_attach',
        runId,
        mode: 'watch',
        stdoutOffset: stdout,
        stderrOffset: stderr,
        tail: isFollowed,
      });
      await connected.welcome;
      return connected.inbox.next('run_attached');
    });
    teller.dropped(streams.skipTo({ stdout: answer.stdoutOffset, stderr: answer.stderrOffset }));
    try {
      await streams.receive(host);
      // What the host has to say of the end comes behind the output, unless the run goes on.
      if (isFollowed || answer.state !== 'running') await host.inbox.next('exited');
      break;
    } catch (error) {
      if (isLostRun(error)) {
        teller.warn('run-lost', error.message);
        break;
      }
      if (!isConnectionLoss(error)) throw error;
    }
  }
  await streams.flushed();
}

/** Its output is all here, and there is nothing more to wait for. */
function isLostRun(error: unknown): error is RmtxError {
  return isRmtxError(error) && error.code === 'ERR_RMTX_RUN_LOST';
}
