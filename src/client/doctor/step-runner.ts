import { orAborted } from '../../util/or-aborted.js';
import { formatDuration } from '../../util/units.js';
import { STEPS, failed } from './verdict.js';
import type { DoctorReport, Finding, StepName, StepReport } from './verdict.js';

export interface StepListener {
  readonly onStart: (step: StepName) => void;
  readonly onReport: (report: StepReport) => void;
}

/** All steps together, even where every one of them is met with silence. */
const TOTAL_LIMIT_MS = 14_000;

/** Takes the steps one after the other, each within its time, and keeps what they come to. */
export class StepRunner {
  readonly #listener: StepListener;
  readonly #deadline = performance.now() + TOTAL_LIMIT_MS;
  readonly #reports: StepReport[] = [];

  constructor(listener: StepListener) {
    this.#listener = listener;
  }

  /**
   * What `check` resolves to; its finding is the step's. Undefined where it takes longer than `limitMs`, which
   * fails the step: the signal it was given is aborted then, and it has to leave nothing behind.
   */
  async take<T extends { readonly finding: Finding }>(
    step: StepName,
    limitMs: number,
    check: (abortSignal: AbortSignal, limitMs: number) => T | Promise<T>,
  ): Promise<T | undefined> {
    this.#listener.onStart(step);
    const startedAt = performance.now();
    const leftMs = Math.max(1, Math.min(limitMs, this.#deadline - startedAt));
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), leftMs);
    let result: T | undefined;
    try {
      result = await orAborted(Promise.resolve(check(limit.signal, leftMs)), limit.signal);
    } finally {
      clearTimeout(timer);
    }
    const elapsedMs = performance.now() - startedAt;
    this.#keep({ step, elapsedMs, ...(result?.finding ?? overdue(elapsedMs)) });
    return result;
  }

  /** The report; what was not taken is not reached. */
  finish(): DoctorReport {
    for (const step of STEPS.slice(this.#reports.length))
      this.#keep({ step, elapsedMs: 0, verdict: 'not-reached' });
    return {
      steps: this.#reports,
      failed: this.#reports.find(({ verdict }) => verdict === 'failed')?.step,
    };
  }

  #keep(report: StepReport): void {
    if (STEPS[this.#reports.length] !== report.step)
      throw new Error(`Internal error: the step ${report.step} is out of turn`);
    this.#reports.push(report);
    this.#listener.onReport(report);
  }
}

function overdue(elapsedMs: number): Finding {
  return failed(`no answer in ${formatDuration(elapsedMs)}`, {
    code: 'host-load',
    cause: 'the host hangs or is under too much load, or the network loses what is sent',
    cure: ['on the host, see what keeps it busy; then, here: rmtx doctor'],
  });
}
