import { writeFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { RunEvent, RunReport } from '../client/run-events.js';
import { openOutput } from '../client/stdio.js';
import { drained } from '../util/drained.js';
import type { Invocation } from './arguments.js';
import { exitCodeOfError } from './exit-code.js';
import { errorParts, renderError } from './report/error.js';
import { jsonDocument, jsonLine } from './report/json.js';
import { failedRunJson, runEventJson, runReportJson } from './report/run-json.js';
import type { RunFacts } from './report/run-json.js';
import { RunText } from './report/run-text.js';

/** Tells a run to whoever wants it: in words, as JSON lines, and as the document of `--report`. */
export class RunRecord {
  readonly #startedAt = new Date();
  readonly #invocation: Invocation;
  readonly #reportFile: string | undefined;
  readonly #json: Writable | undefined;
  /** Whoever reads JSON has it all in the events. */
  readonly #text: RunText | undefined;
  #started: RunFacts['run'];

  constructor(invocation: Invocation, reportFile: string | undefined) {
    this.#invocation = invocation;
    this.#reportFile = reportFile;
    const isJson = invocation.flags.has('json');
    this.#json = isJson ? openOutput(1) : undefined;
    // A reader may leave: no failure, and never a stack trace.
    this.#json?.on('error', () => undefined);
    this.#text = isJson ? undefined : createRunText(invocation);
  }

  /** Resolves when the reader of the JSON lines takes more: a slow one slows the command. */
  async onEvent(event: RunEvent): Promise<void> {
    if (event.type === 'run') this.#started = event;
    this.#text?.onEvent(event);
    const line = this.#json === undefined ? undefined : runEventJson(event);
    if (line !== undefined && this.#json?.write(jsonLine(line)) === false)
      await drained(this.#json);
  }

  finish(report: RunReport): void {
    this.#text?.finish(report);
    this.#write(runReportJson(report, this.#facts()));
  }

  fail(error: unknown): void {
    this.#text?.stop();
    const exitCode = exitCodeOfError(error, 'exec');
    this.#write(failedRunJson({ error: errorParts(error), exitCode }, this.#facts()));
  }

  #facts(): RunFacts {
    const { flags, operands } = this.#invocation;
    return {
      command: operands,
      label: flags.text('label'),
      startedAt: this.#startedAt,
      endedAt: new Date(),
      run: this.#started,
    };
  }

  #write(document: object): void {
    this.#json?.write(jsonLine({ type: 'report', ...document }));
    if (this.#reportFile === undefined) return;
    try {
      writeFileSync(this.#reportFile, jsonDocument(document));
    } catch (error) {
      // The run is over: its exit code must not become that of a full disk.
      process.stderr.write(renderError(error, { isJson: false, isVerbose: false }));
    }
  }
}

function createRunText({ flags, operands }: Invocation): RunText {
  return new RunText({
    write: (text) => process.stderr.write(text),
    isVerbose: flags.has('verbose'),
    isQuiet: flags.has('quiet'),
    isTerminal: process.stderr.isTTY,
    canErase: process.env['TERM'] !== 'dumb',
    columns: () => process.stderr.columns,
    now: () => performance.now(),
    command: operands,
    timeoutMs: flags.durationMs('timeout'),
  });
}
