/** Tells a run's events to whoever listens. */
import { formatDuration, formatSize } from '../util/units.js';
import type { Outage } from './host-link.js';
import type { RunEvent, RunSinks, RunStep } from './run-events.js';
import type { OutputOffsets } from './streams.js';

/** What the host has of the run while the connection to it is being looked for. */
export type RunPhase = 'opening' | 'running' | 'over';

const whileLost: Readonly<Record<RunPhase, string>> = {
  opening: 'connection lost; looking for the host',
  running: 'connection lost; looking for the host (the run goes on)',
  over: 'connection lost; looking for the host (the results wait there)',
};

/** Where every key goes to the host, also Ctrl-C. */
const whileLostAtTerminal =
  'connection lost; looking for the host (the run goes on; Enter ~. leaves it)';

export class RunTeller {
  readonly #sinks: RunSinks;
  #isClosed = false;

  constructor(sinks: RunSinks) {
    this.#sinks = sinks;
  }

  emit(event: RunEvent): void {
    if (!this.#isClosed) void this.#sinks.onEvent(event);
  }

  /** The run is over for whoever listens: what is still under way here, such as a scan, says nothing more. */
  close(): void {
    this.#isClosed = true;
  }

  /** For `-v`. */
  detail(code: string, message: string): void {
    this.emit({ type: 'notice', code, message, level: 'detail' });
  }

  info(code: string, message: string): void {
    this.emit({ type: 'notice', code, message, level: 'info' });
  }

  warn(code: string, message: string): void {
    this.emit({ type: 'notice', code, message, level: 'warning' });
  }

  /** Marked as the host's: a warning of rmtx itself, such as what Ctrl-C does now, must not be forged. */
  hostSays(code: string, text: string): void {
    this.warn(`host:${code}`, `the host says: ${text}`);
  }

  /** What of the output the host had dropped before it could be taken. */
  dropped(missing: OutputOffsets): void {
    for (const stream of ['stdout', 'stderr'] as const)
      if (missing[stream] > 0)
        this.warn(
          'output-dropped',
          `${formatSize(missing[stream])} of the command's ${stream} are missing: the host keeps only the newest output`,
        );
  }

  /** One line when an outage turns out to last, one when it is over; a short one is a detail. */
  outage(outage: Outage, phase: RunPhase): void {
    if (outage.kind === 'lasting') {
      this.warn(
        'connection-lost',
        this.#sinks.terminal?.isLent === true ? whileLostAtTerminal : whileLost[phase],
      );
      return;
    }
    const took = formatDuration(outage.elapsedMs);
    if (outage.wasSaid) this.warn('connected-again', `connected again after ${took}`);
    else
      this.emit({
        type: 'notice',
        code: 'connected-again',
        message: `the connection was lost; connected again after ${took}`,
        // Found again at once, but somebody looked at a silent screen before that.
        level: outage.wasSilent ? 'warning' : 'detail',
      });
  }

  /** Work with its time; a step that fails has no end. */
  async step<T>(step: RunStep, work: () => Promise<T>): Promise<T> {
    this.emit({ type: 'step', step, state: 'start', elapsedMs: 0 });
    const startedAt = performance.now();
    const result = await work();
    const elapsedMs = performance.now() - startedAt;
    this.emit({ type: 'step', step, state: 'end', elapsedMs });
    return result;
  }
}
