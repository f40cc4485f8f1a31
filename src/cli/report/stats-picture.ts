/** A host at a glance, drawn for any size of terminal. */
import type { RunStats, StatsReading } from '../../client/stats.js';
import { formatSize } from '../../util/units.js';
import { bar, strip } from './bars.js';
import type { Glyphs } from './bars.js';
import { columnsOf, cutTo, fitTo, renderSpans, span, spansWidth } from './spans.js';
import type { Span } from './spans.js';
import { ageText } from './text.js';

export interface StatsView {
  readonly reading: StatsReading;
  /** How long ago that was. */
  readonly ageMs: number;
  /** Why the connection is lost, while it is. */
  readonly lost: string | undefined;
}

export interface PictureOptions {
  readonly columns: number;
  readonly rows: number;
  readonly hasColours: boolean;
  readonly glyphs: Glyphs;
}

/** Below this there is one short detail beside a bar. */
const WIDE_COLUMNS = 72;
/** Longer bars tell nothing more, and the eye has further to go. */
const MAX_BAR_COLUMNS = 44;
const MIN_BAR_COLUMNS = 4;
const MIN_CORE_COLUMNS = 14;
const GOOD_CORE_COLUMNS = 20;
const MAX_CORE_COLUMNS = 26;
const CORE_GAP = 2;
/** ` 100%`. */
const PERCENT_COLUMNS = 5;
const MAX_GPUS = 8;
/** Of runs, that processors leave room for. */
const MIN_RUN_LINES = 3;
const MAX_CONTEXT_COLUMNS = 20;
const LEAVE_HINT = 'q leaves';

/** As many lines as there are rows at the most, none wider than there are columns. */
export function statsPicture(view: StatsView, options: PictureOptions): string[] {
  const { reading } = view;
  const head = headLines(view, options);
  const cpu = gauge('CPU', cpuGauge(reading, options), options);
  const others = otherGauges(reading, options);
  const runs = runLines(view);
  const fixed = head.length + 1 + others.length + Math.min(runs.length, MIN_RUN_LINES + 1);
  // Two blank lines, where there is room for them.
  const spare = options.rows - fixed - 2;
  const cores = coreLines(reading.cpuUsedPercents ?? [], { ...options, rows: spare });
  const blank = spare >= 0 ? [[]] : [];
  const above = [...head, ...blank, cpu, ...cores, ...others, ...blank];
  const shown = [...above, ...fittingRuns(runs, options.rows - above.length, options)];
  const below = options.rows - shown.length;
  if (below >= 2)
    shown.push(...Array.from({ length: below - 1 }, () => []), [span(LEAVE_HINT, 'dim')]);
  return shown.slice(0, options.rows).map((line) => renderSpans(line, options));
}

function headLines({ reading, ageMs, lost }: StatsView, options: PictureOptions): Span[][] {
  const { columns, glyphs } = options;
  const { cpuModel, physicalCores } = reading;
  const cores = physicalCores === undefined ? '' : ` (${physicalCores} cores)`;
  const facts = [
    reading.address,
    `rtt ${roundTrip(reading.rttMs)}`,
    `${reading.logicalCpus} CPUs${cores}`,
    `${reading.os} ${reading.arch}`,
    ...(cpuModel === undefined ? [] : [cpuModel]),
    `rmtx ${reading.version}`,
  ];
  const status =
    lost === undefined
      ? span(`${glyphs.isThere} up ${ageText(reading.uptimeSeconds * 1000)}`, 'good')
      : span(`${glyphs.isGone} connection lost ${ageText(ageMs)} ago`, 'bad');
  const name = span(cutTo(span(reading.name).text, columns - columnsOf(status.text) - 2), 'bold');
  const gap = Math.max(2, pictureColumns(columns) - spansWidth([name, status]));
  return [
    [name, span(' '.repeat(gap)), status],
    lost === undefined
      ? [span(joinFitting(facts, columns, glyphs.separator), 'dim')]
      : [span(`trying again: ${lost}`, 'warning')],
  ];
}

interface Gauge {
  readonly percent: number | undefined;
  /** What stands beside the bar; the first is what a narrow terminal has room for. */
  readonly details: readonly string[];
}

function cpuGauge(reading: StatsReading, { columns }: PictureOptions): Gauge {
  const [one, ...rest] = reading.load ?? [];
  const loads = [one, ...(columns < WIDE_COLUMNS ? [] : rest)];
  const shown = loads.filter((load) => load !== undefined).map((load) => load.toFixed(2));
  return {
    percent: reading.cpuUsedPercent,
    details: shown.length === 0 ? [] : [`load ${shown.join(' ')}`],
  };
}

function otherGauges(reading: StatsReading, options: PictureOptions): Span[][] {
  const { memory, disk, gpus = [] } = reading;
  const isWide = options.columns >= WIDE_COLUMNS;
  const lines = [
    gauge(
      isWide ? 'Memory' : 'Mem',
      {
        percent: memory.usedPercent,
        details: [
          isWide
            ? `${formatSize(memory.availableBytes)} free of ${formatSize(memory.totalBytes)}`
            : `${formatSize(memory.availableBytes)} free`,
        ],
      },
      options,
    ),
  ];
  if (disk !== undefined) {
    const free = `${formatSize(disk.availableBytes)} free`;
    const details = [isWide ? `${free} of ${formatSize(disk.totalBytes)}` : free];
    lines.push(gauge('Disk', { percent: disk.usedPercent, details }, options));
  }
  for (const [index, gpu] of gpus.slice(0, MAX_GPUS).entries()) {
    const { memoryUsedBytes: used, memoryTotalBytes: total, celsius } = gpu;
    const sizes =
      used === undefined || total === undefined ? [] : [`${formatSize(used)}/${formatSize(total)}`];
    const details = [
      ...sizes,
      ...(isWide && celsius !== undefined ? [`${celsius} °C`] : []),
      ...(isWide ? [gpu.name] : []),
    ];
    const label = gpus.length === 1 ? 'GPU' : `GPU${isWide ? ' ' : ''}${index}`;
    lines.push(gauge(label, { percent: gpu.usedPercent, details }, options));
  }
  return lines;
}

/** A name, a bar, a number, details. */
function gauge(label: string, { percent, details }: Gauge, options: PictureOptions): Span[] {
  const { columns, glyphs } = options;
  return [
    span(fitTo(label, labelColumnsOf(columns))),
    ...bar(percent ?? 0, barColumnsOf(columns), glyphs),
    span(percentText(percent).padStart(PERCENT_COLUMNS)),
    span(`  ${details.join(glyphs.separator)}`, 'dim'),
  ];
}

function labelColumnsOf(columns: number): number {
  return columns < WIDE_COLUMNS ? 5 : 8;
}

function barColumnsOf(columns: number): number {
  const detailColumns = columns < WIDE_COLUMNS ? 11 : 26;
  const room = columns - labelColumnsOf(columns) - PERCENT_COLUMNS - 2 - detailColumns;
  return Math.min(MAX_BAR_COLUMNS, Math.max(MIN_BAR_COLUMNS, room));
}

/**
 * Each processor with a bar, in as many columns as are needed for the rows there are; a character for each
 * where that is not enough. The first bars stand below the one of all.
 */
function coreLines(percents: readonly number[], options: PictureOptions): Span[][] {
  const { columns, rows, glyphs } = options;
  if (rows < 1 || percents.length < 2) return [];
  const indexColumns = Math.max(2, String(percents.length - 1).length);
  const indent = Math.max(0, labelColumnsOf(columns) - indexColumns - 1);
  const width = pictureColumns(columns) - indent;
  const across = coresAcross(percents.length, { width, rows });
  if (across === undefined) return stripLines(percents, options);
  const down = Math.ceil(percents.length / across);
  const cell = Math.min(Math.floor((width + CORE_GAP) / across) - CORE_GAP, MAX_CORE_COLUMNS);
  const barColumns =
    across === 1 ? barColumnsOf(columns) : cell - indexColumns - 1 - PERCENT_COLUMNS;
  return Array.from({ length: down }, (_, row) => [
    span(' '.repeat(indent)),
    ...Array.from({ length: across }, (__, column) => row + column * down)
      .filter((index) => index < percents.length)
      .flatMap((index, column) => [
        span(' '.repeat(column === 0 ? 0 : CORE_GAP)),
        span(`${String(index).padStart(indexColumns)} `, 'dim'),
        ...bar(percents[index] ?? 0, barColumns, glyphs),
        span(percentText(percents[index]).padStart(PERCENT_COLUMNS), 'dim'),
      ]),
  ]);
}

/** Even columns that are not long, where there are such; undefined where not all have room. */
function coresAcross(
  count: number,
  { width, rows }: { readonly width: number; readonly rows: number },
): number | undefined {
  const fitting = (cell: number): number =>
    Math.max(1, Math.floor((width + CORE_GAP) / (cell + CORE_GAP)));
  const counts = Array.from({ length: fitting(GOOD_CORE_COLUMNS) }, (_, index) => index + 1);
  const isEven = (across: number, down: number): boolean =>
    count % across === 0 && count / across <= Math.min(rows, down);
  return (
    counts.find((across) => isEven(across, 4)) ??
    counts.find((across) => isEven(across, 8)) ??
    [fitting(MAX_CORE_COLUMNS), fitting(MIN_CORE_COLUMNS)].find(
      (across) => Math.ceil(count / across) <= rows,
    )
  );
}

function stripLines(percents: readonly number[], options: PictureOptions): Span[][] {
  const { columns, rows, glyphs } = options;
  const indent = labelColumnsOf(columns);
  const width = Math.max(1, pictureColumns(columns) - indent);
  const spans = strip(percents, glyphs);
  const count = Math.min(rows, Math.ceil(spans.length / width));
  return Array.from({ length: count }, (_, row) => [
    span(' '.repeat(indent)),
    ...spans.slice(row * width, (row + 1) * width),
  ]);
}

type RunLine =
  | { readonly title: string; readonly rest: string }
  | { readonly run: RunStats; readonly age: string };

function runLines({ reading, ageMs }: StatsView): RunLine[] {
  const { runs, activeRuns } = reading;
  const others = Math.max(0, activeRuns - runs.length);
  const ofOthers = others === 0 ? '' : `${others} of other clients`;
  if (runs.length === 0)
    return [{ title: 'No runs', rest: others === 0 ? '' : `of this client, ${ofOthers}` }];
  // By the host's clock, which may be another than ours.
  const nowMs = Date.parse(reading.at) + ageMs;
  const title = `${runs.length} ${runs.length === 1 ? 'run' : 'runs'}`;
  return [
    { title, rest: others === 0 ? '' : `and ${ofOthers}` },
    ...runs.map((run) => ({ run, age: ageText(nowMs - Date.parse(run.startedAt)) })),
  ];
}

/** What does not fit is counted in the last line. */
function fittingRuns(
  lines: readonly RunLine[],
  rows: number,
  { columns }: PictureOptions,
): Span[][] {
  const isCut = lines.length > rows;
  const shown = lines.slice(0, isCut ? Math.max(1, rows - 1) : rows);
  const left = lines.length - shown.length;
  const contexts = shown.map((line) => ('run' in line ? span(line.run.context).text : ''));
  const widest = Math.max(0, ...contexts.map(columnsOf));
  const contextColumns = columns < WIDE_COLUMNS ? 0 : Math.min(MAX_CONTEXT_COLUMNS, widest);
  return [
    ...shown.map((line) => runSpans(line, contextColumns)),
    ...(isCut && rows > 1 ? [[span(`  and ${left} more: rmtx runs`, 'dim')]] : []),
  ];
}

function runSpans(line: RunLine, contextColumns: number): Span[] {
  if ('title' in line) return [span(line.title, 'bold'), span(` ${line.rest}`, 'dim')];
  const { run, age } = line;
  return [
    span(`${age.padStart(7)}  `, 'dim'),
    ...(contextColumns === 0
      ? []
      : [span(`${fitTo(span(run.context).text, contextColumns)}  `, 'dim')]),
    // Of one that prepares the command is not known yet.
    ...(run.state === 'running' ? [] : [span(`${run.state} `, 'warning')]),
    span(run.commandLine),
  ];
}

/** Where the right margin is: further out nobody would look for it. */
function pictureColumns(columns: number): number {
  return Math.min(columns, 120);
}

function joinFitting(parts: readonly string[], columns: number, separator: string): string {
  let line = '';
  for (const part of parts) {
    const longer = line === '' ? part : `${line}${separator}${part}`;
    if (line !== '' && columnsOf(longer) > columns) break;
    line = longer;
  }
  return line;
}

function percentText(percent: number | undefined): string {
  return percent === undefined ? '-' : `${Math.round(percent)}%`;
}

/** `0.4ms`, `12ms`. */
export function roundTrip(milliseconds: number): string {
  const tenths = Math.round(milliseconds * 10) / 10;
  return `${tenths < 10 ? tenths : Math.round(tenths)}ms`;
}
