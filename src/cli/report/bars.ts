import type { Span, Style } from './spans.js';

/** What bars are drawn with. */
export interface Glyphs {
  readonly full: string;
  readonly half: string;
  readonly empty: string;
  /** From nothing to everything, for a bar of one character. */
  readonly levels: readonly string[];
  readonly separator: string;
  readonly isThere: string;
  readonly isGone: string;
}

export const unicodeGlyphs: Glyphs = {
  full: '━',
  half: '╸',
  empty: '─',
  levels: Array.from('▁▂▃▄▅▆▇█'),
  separator: ' · ',
  isThere: '●',
  isGone: '○',
};

/** For a terminal that is not said to know UTF-8. */
export const asciiGlyphs: Glyphs = {
  full: '#',
  half: '=',
  empty: '.',
  levels: Array.from('_.:-=+*#'),
  separator: ', ',
  isThere: '*',
  isGone: 'o',
};

/** `percent` from 0 to 100; what is shown as 1% or more has at least half a character. */
export function bar(percent: number, columns: number, glyphs: Glyphs): Span[] {
  const halves = Math.round((percent / 100) * columns * 2);
  const shown = Math.min(columns * 2, percent >= 0.5 ? Math.max(1, halves) : 0);
  const filled = glyphs.full.repeat(Math.floor(shown / 2)) + (shown % 2 === 1 ? glyphs.half : '');
  return [
    { text: filled, style: loadStyle(percent) },
    { text: glyphs.empty.repeat(Math.max(0, columns - filled.length)), style: 'dim' },
  ];
}

/** A character for each percentage, for more processors than there are lines. */
export function strip(percents: readonly number[], glyphs: Glyphs): Span[] {
  const last = glyphs.levels.length - 1;
  return percents.map((percent) => ({
    text: glyphs.levels[Math.round((percent / 100) * last)] ?? ' ',
    style: loadStyle(percent),
  }));
}

function loadStyle(percent: number): Style {
  if (percent >= 90) return 'bad';
  return percent >= 70 ? 'warning' : 'good';
}
