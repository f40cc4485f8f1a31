/** What is told of runs that do not go the way of all runs. */
import { RmtxError, isRmtxError } from '../errors.js';
import type { RunRecord } from './run-record.js';

interface Recorded {
  readonly record: Pick<RunRecord, 'id' | 'state' | 'reason'>;
}

/** To whoever asks for a run whose end nobody saw, or waits for changes that could not be captured because of `cause`. */
export function runLost({ record }: Recorded, cause?: unknown): RmtxError {
  const cure =
    isRmtxError(cause) && cause.hint !== undefined ? cause.hint : 'run the command again';
  return new RmtxError(
    'ERR_RMTX_RUN_LOST',
    `run ${record.id} was lost: ${record.reason ?? 'its end is not known'}`,
    { hint: `what it changed is dropped; ${cure}` },
  );
}

export function runNotFound(id: string): RmtxError {
  return new RmtxError('ERR_RMTX_RUN_NOT_FOUND', `the host has no run ${id} of this client`, {
    hint: 'rmtx runs lists those that it has',
  });
}

/** A run that is still being prepared has nothing to be visited for. */
export function runNotStarted(id: string): RmtxError {
  return new RmtxError('ERR_RMTX_RUN_NOT_FOUND', `run ${id} has not started`, {
    hint: 'its files are still on their way to the host',
  });
}

export function takenOver(id: string): RmtxError {
  return new RmtxError('ERR_RMTX_RUN_TAKEN_OVER', `run ${id} was taken over by another rmtx`);
}

/** To the visitors of a host that stops; without a run, to those who had none yet. */
export function hostStopping(run?: Recorded): RmtxError {
  const isOver = ['collecting', 'waiting', 'done'].includes(run?.record.state ?? '');
  if (run === undefined || !isOver)
    return new RmtxError(
      'ERR_RMTX_HOST_STOPPING',
      'the host is shutting down; it ended the run, whose changes are dropped',
    );
  return new RmtxError(
    'ERR_RMTX_HOST_STOPPING',
    'the host is shutting down; the run is over, and its changes wait there',
    { hint: `rmtx attach ${run.record.id} brings them home when the host is back` },
  );
}
