import { writeFileSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { HostlessReport, RunEvent, RunReport } from '../client/run-events.js';
import { openOutput } from '../client/stdio.js';
import { asTerminalText } from '../client/terminal.js';
import { drained } from '../util/drained.js';
import type { Invocation } from './arguments.js';
import { exitCodeOfError } from './exit-code.js';
import { errorParts, renderError } from './report/error.js';
import { jsonDocument, jsonLine } from './report/json.js';
import {
  failedRunJson,
  hostlessReportJson,
  runEventJson,
  runReportJson,
} from './report/run-json.js';
import type { RunFacts } from './report/run-json.js';
import { RunText } from './report/run-text.js';

export interface RunRecordOptions {
  /** The argv, as far as it is known at the start. */
  readonly command: readonly string[];
  readonly label?: string | undefined;
  readonly timeoutMs?: number | undefined;
  /** `--report`. */
  readonly reportFile?: string | undefined;
}

/** Tells a run to whoever wants it: in words, as JSON lines, and as the document of `--report`. */
export class RunRecord {
  readonly #startedAt = new Date();
  readonly #invocation: Invocation;
  /** Of whoever comes back to a run it is known once the host has told it. */
  #command: readonly string[];
  readonly #label: string | undefined;
  readonly #reportFile: string | undefined;
  readonly #json: Writable | undefined;
  /** Whoever reads JSON has it all in the events. */
  readonly #text: RunText | undefined;
  #started: RunFacts['run'];

  constructor(invocation: Invocation, options: RunRecordOptions) {
    const { command, label, reportFile } = options;
    this.#invocation = invocation;
    this.#command = command;
    this.#label = label;
    this.#reportFile = reportFile;
    const isJson = invocation.flags.has('json');
    this.#json = isJson ? openOutput(1) : undefined;
    // A reader may leave: no failure, and never a stack trace.
    this.#json?.on('error', () => undefined);
    this.#text = isJson ? undefined : createRunText(invocation, options);
  }

  /** Resolves when the reader of the JSON lines takes more: a slow one slows the command. */
  async onEvent(event: RunEvent): Promise<void> {
    if (event.type === 'run' || event.type === 'attached') this.#started = event;
    if (event.type === 'attached') this.#command = event.command;
    this.#text?.onEvent(event);
    const line = this.#json === undefined ? undefined : runEventJson(event);
    if (line !== undefined && this.#json?.write(jsonLine(line)) === false)
      await drained(this.#json);
  }

  finish(report: RunReport): void {
    this.#text?.finish(report);
    this.#write(runReportJson(report, this.#facts()));
  }

  /** There was no run on a host. */
  finishHere(report: HostlessReport): void {
    this.#text?.finishHere(report);
    this.#write(hostlessReportJson(report, this.#facts()));
  }

  /** The command was started, and is left. */
  leave(runId: string): void {
    this.#text?.stop();
    if (this.#json === undefined) process.stdout.write(`${runId}\n`);
    else this.#json.write(jsonLine({ type: 'detached', run_id: runId }));
  }

  /** Whoever sat at its terminal has left. */
  left(runId: string): void {
    this.#text?.left(runId);
  }

  fail(error: unknown): void {
    this.#text?.stop();
    const exitCode = exitCodeOfError(error, this.#invocation.command.name);
    this.#write(failedRunJson({ error: errorParts(error), exitCode }, this.#facts()));
  }

  #facts(): RunFacts {
    return {
      command: this.#command,
      label: this.#label,
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

function createRunText({ flags }: Invocation, { command, timeoutMs }: RunRecordOptions): RunText {
  return new RunText({
    write: (text) => process.stderr.write(asTerminalText(text)),
    isVerbose: flags.has('verbose'),
    isQuiet: flags.has('quiet'),
    isTerminal: process.stderr.isTTY,
    canErase: process.env['TERM'] !== 'dumb',
    columns: () => process.stderr.columns,
    now: () => performance.now(),
    command,
    timeoutMs,
  });
}
