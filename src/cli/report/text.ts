/** Tables and lines for stdout. Every cell is made safe to print: names come from other machines. */
import { printable } from '../../util/printable.js';
import { formatDuration } from '../../util/units.js';

/** One result a line, the fields apart by TABs: easy for `cut` and `read`. */
export function tabLine(...cells: readonly string[]): string {
  return `${cells.map(printable).join('\t')}\n`;
}

/** Columns as wide as their widest cell, two spaces between them; the header stands alone if no row does. */
export function renderTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [header, ...rows].map((row) => row.map(printable));
  const widths = header.map((_, column) =>
    Math.max(...lines.map((line) => widthOf(line[column] ?? ''))),
  );
  return lines
    .map((line) => line.map((cell, column) => pad(cell, widths[column] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** `key=value` pairs on one line; a value with a blank or a quote in it is quoted as JSON does. */
export function keyValues(pairs: Readonly<Record<string, string | number>>): string {
  return Object.entries(pairs)
    .map(([key, value]) => `${key}=${quoteValue(printable(String(value)))}`)
    .join(' ');
}

/** Names and values below each other. */
export function renderList(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...pairs.map(([name]) => widthOf(name)));
  return pairs.map(([name, value]) => `${pad(name, width)}  ${printable(value)}\n`).join('');
}

/** `1 file`, `2 files`. */
export function count(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/**
 * A whole number, its thousands apart by commas in every locale, as the rest is English. By hand: Intl takes
 * 13 ms at its first use, which is at the end of every run.
 */
export function grouped(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `0s`, `2m5s`, `3d4h`; `-` where a time could not be read. Clocks differ: nothing is younger than nothing. */
export function ageText(ageMs: number): string {
  if (!Number.isFinite(ageMs)) return '-';
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  return seconds === 0 ? '0s' : formatDuration(seconds * 1000);
}

function quoteValue(value: string): string {
  return value === '' || /[\s"]/.test(value) ? JSON.stringify(value) : value;
}

function pad(cell: string, width: number): string {
  return cell + ' '.repeat(Math.max(0, width - widthOf(cell)));
}

function widthOf(cell: string): number {
  return Array.from(cell).length;
}
