/** What `doctor` found, for people: a line a step, and below it why and what to type. */
import type { DoctorReport, StepReport } from '../../client/doctor.js';
import { printable } from '../../util/printable.js';
import { formatDuration } from '../../util/units.js';
import { count } from './text.js';
import type { TerminalLook } from './terminal-look.js';

type Verdict = StepReport['verdict'];

const MARKS: Readonly<Record<Verdict, { unicode: string; ascii: string; colour: number }>> = {
  ok: { unicode: '✓', ascii: '+', colour: 32 },
  warning: { unicode: '!', ascii: '!', colour: 33 },
  failed: { unicode: '✗', ascii: 'x', colour: 31 },
  'not-reached': { unicode: '·', ascii: '-', colour: 90 },
};
const BOLD = 1;
const GREY = 90;

/** Two columns for the mark. */
const NAME_WIDTH = 10;
const TIME_WIDTH = 6;
/** Where what was found begins. */
const DETAIL_AT = 2 + NAME_WIDTH + TIME_WIDTH + 2;
/** Far to the left: lines to be typed should not be broken. */
const REASON_AT = 4;
/** After `why` and `do`. */
const TEXT_AT = REASON_AT + 5;
/** Narrower than this a text cannot be read anyway. */
const MIN_TEXT_WIDTH = 30;
/** Below this nobody has waited for it. */
const NOTABLE_MS = 1;

/** One step, as soon as it is known, with its line ends; nothing for one that is not reached. */
export function doctorStepText(report: StepReport, look: TerminalLook): string {
  if (report.verdict === 'not-reached') return '';
  const name = report.step.padEnd(NAME_WIDTH);
  const time = report.elapsedMs < NOTABLE_MS ? '' : formatDuration(report.elapsedMs);
  const detail = wrapped(printable(report.detail), textWidth(look, DETAIL_AT));
  const head = `${markOf(report.verdict, look)} ${name}${grey(time.padStart(TIME_WIDTH), look)}  `;
  const lines = [detail.join(`\n${' '.repeat(DETAIL_AT)}`)];
  if (report.verdict !== 'ok')
    lines.push(
      ...labelled('why', wrapped(printable(report.cause), textWidth(look, TEXT_AT)), look),
      ...labelled('do', report.cure.map(printable), look),
    );
  return `${head}${lines.join('\n')}\n`;
}

/** What was not reached; then, on the last line, that all is well, or the step that failed first and its cure. */
export function doctorEndText({ steps, failed }: DoctorReport, look: TerminalLook): string {
  const missed = steps.filter(({ verdict }) => verdict === 'not-reached').map(({ step }) => step);
  const first = steps.find(({ step }) => step === failed);
  const words =
    first?.verdict === 'failed'
      ? `failed at ${first.step}: ${printable(shortCure(first.cure))}`
      : wellWords(steps.filter(({ verdict }) => verdict === 'warning').length);
  return `${missedText(missed, look)}\n${paint(words, { look, colour: BOLD })}\n`;
}

function wellWords(warnings: number): string {
  return warnings === 0 ? 'all is well' : `all is well, with ${count(warnings, 'warning')}`;
}

function missedText(missed: readonly string[], look: TerminalLook): string {
  if (missed.length === 0) return '';
  const words = wrapped(`not reached: ${missed.join(', ')}`, textWidth(look, 2));
  return `${markOf('not-reached', look)} ${words.map((line) => grey(line, look)).join('\n  ')}\n`;
}

/** The first line of it, with the one that it leads up to; the others stand above. */
function shortCure([first = '', second = '', ...others]: readonly string[]): string {
  if (!first.endsWith(':')) return first;
  return `${first} ${second}${others.length === 0 ? '' : ' (or as above)'}`;
}

export function doctorJson({ steps, failed }: DoctorReport): object {
  return {
    steps: steps.map((report) => ({
      step: report.step,
      verdict: report.verdict,
      elapsed_ms: Math.round(report.elapsedMs * 10) / 10,
      ...(report.verdict === 'not-reached' ? {} : { detail: report.detail }),
      ...(report.verdict === 'warning' || report.verdict === 'failed'
        ? { code: report.code, cause: report.cause, cure: report.cure.join('\n') }
        : {}),
    })),
    failed: failed ?? null,
  };
}

/** What is to be typed is never broken: whoever copies it would have to mend it. */
function labelled(label: string, lines: readonly string[], look: TerminalLook): string[] {
  return lines.map((line, index) => {
    const head = (index === 0 ? label : '').padEnd(TEXT_AT - REASON_AT);
    return `${' '.repeat(REASON_AT)}${grey(head, look)}${line}`;
  });
}

function textWidth({ columns }: TerminalLook, taken: number): number {
  return columns === undefined ? Infinity : Math.max(MIN_TEXT_WIDTH, columns - taken - 1);
}

/** Broken at blanks; a word that is longer than a line stands alone on it, for whoever copies it. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && Array.from(line).length + 1 + Array.from(word).length <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function markOf(verdict: Verdict, look: TerminalLook): string {
  const { unicode, ascii, colour } = MARKS[verdict];
  return paint(look.hasUnicode ? unicode : ascii, { look, colour });
}

function grey(text: string, look: TerminalLook): string {
  return paint(text, { look, colour: GREY });
}

function paint(
  text: string,
  { look, colour }: { readonly look: TerminalLook; readonly colour: number },
): string {
  return look.hasColour && text.trim() !== '' ? `\u001b[${colour}m${text}\u001b[0m` : text;
}
