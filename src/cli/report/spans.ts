/** Lines of a picture: pieces of text with a style, cut to the columns that a terminal has. */
import { printable } from '../../util/printable.js';

export type Style = 'plain' | 'dim' | 'bold' | 'good' | 'warning' | 'bad';

export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** SGR (ECMA-48 8.3.117): the sixteen colours that every theme has made legible. */
const SGR: Readonly<Record<Exclude<Style, 'plain'>, string>> = {
  dim: '2',
  bold: '1',
  good: '32',
  warning: '33',
  bad: '31',
};

/** Safe to print, whoever the text comes from. */
export function span(text: string, style: Style = 'plain'): Span {
  return { text: printable(text), style };
}

/** How many columns the text takes; approximately, where a terminal's idea of Unicode is another. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += columnsOfCharacter(character);
  return columns;
}

export function spansWidth(spans: readonly Span[]): number {
  return spans.reduce((sum, { text }) => sum + columnsOf(text), 0);
}

/** The text, cut to so many columns; an ellipsis says that it was. */
export function cutTo(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let kept = '';
  let left = columns - 1;
  for (const character of text) {
    left -= columnsOfCharacter(character);
    if (left < 0) break;
    kept += character;
  }
  return columns < 1 ? '' : `${kept}…`;
}

/** Cut, and filled with blanks up to so many columns. */
export function fitTo(text: string, columns: number): string {
  const cut = cutTo(text, columns);
  return cut + ' '.repeat(Math.max(0, columns - columnsOf(cut)));
}

export interface LineOptions {
  readonly columns: number;
  readonly hasColours: boolean;
}

/** One line of text, never wider than there are columns. */
export function renderSpans(spans: readonly Span[], options: LineOptions): string {
  let left = options.columns;
  let line = '';
  for (const { text, style } of spans) {
    const cut = cutTo(text, left);
    left -= columnsOf(cut);
    line += painted(cut, options.hasColours ? style : 'plain');
  }
  return line.trimEnd();
}

function painted(text: string, style: Style): string {
  return style === 'plain' || text.trim() === '' ? text : `\u001b[${SGR[style]}m${text}\u001b[0m`;
}

const COMBINING = /^[\p{Mn}\p{Me}]$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]$/u;

function columnsOfCharacter(character: string): number {
  if (character < '\u0300') return 1;
  if (COMBINING.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}
