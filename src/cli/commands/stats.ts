import { followStats, readStats } from '../../client/stats.js';
import type { StatsReading } from '../../client/stats.js';
import { RmtxError } from '../../errors.js';
import type { HostTarget } from '../../client/control.js';
import { formatDuration } from '../../util/units.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { PictureScreen } from '../picture-screen.js';
import { asciiGlyphs, unicodeGlyphs } from '../report/bars.js';
import { renderError } from '../report/error.js';
import { jsonDocument, jsonLine } from '../report/json.js';
import { statsPicture } from '../report/stats-picture.js';
import type { StatsView } from '../report/stats-picture.js';
import { statsJson, statsLine } from '../report/stats.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

const USUAL_INTERVAL_MS = 1000;
/** A host hands out the same reading for so long. */
const MIN_INTERVAL_MS = 500;
const MAX_INTERVAL_MS = 24 * 3600_000;

export async function run({ flags }: Invocation): Promise<number> {
  const intervalMs = intervalOf(flags);
  const target = targetOf(flags);
  if (!flags.has('watch')) {
    const reading = await readStats(target);
    process.stdout.write(flags.has('json') ? jsonDocument(statsJson(reading)) : statsLine(reading));
    return 0;
  }
  const canDraw = process.stdout.isTTY && process.env['TERM'] !== 'dumb' && !flags.has('json');
  return canDraw ? drawOn(target, intervalMs) : printOn(target, intervalMs, flags);
}

function intervalOf(flags: FlagValues): number {
  const intervalMs = flags.durationMs('interval');
  if (intervalMs === undefined) return USUAL_INTERVAL_MS;
  if (!flags.has('watch'))
    throw new RmtxError('ERR_RMTX_BAD_FLAG', '--interval needs --watch', {
      hint: 'rmtx stats --watch --interval 5s',
    });
  if (intervalMs >= MIN_INTERVAL_MS && intervalMs <= MAX_INTERVAL_MS) return intervalMs;
  throw new RmtxError(
    'ERR_RMTX_BAD_FLAG',
    `--interval ${formatDuration(intervalMs)} is out of range`,
    {
      hint: 'from 500ms, for which a host keeps its readings, to 24h',
    },
  );
}

/** A line each time, until whoever reads is gone. */
async function printOn(target: HostTarget, intervalMs: number, flags: FlagValues): Promise<number> {
  const isJson = flags.has('json');
  const over = new AbortController();
  process.stdout.once('error', () => over.abort());
  let isLost = false;
  await followStats(target, {
    intervalMs,
    abortSignal: over.signal,
    onReading: (reading) => {
      isLost = false;
      process.stdout.write(isJson ? jsonLine(statsJson(reading)) : statsLine(reading));
    },
    onLost: (error) => {
      // Once each time: it is tried again every few seconds.
      if (!isLost) process.stderr.write(renderError(error, { isJson, isVerbose: false }));
      if (!isLost && !isJson && !flags.has('quiet'))
        process.stderr.write('rmtx: trying to reach the host again\n');
      isLost = true;
    },
  });
  return 0;
}

async function drawOn(target: HostTarget, intervalMs: number): Promise<number> {
  const over = new AbortController();
  let exitCode = 0;
  let shown: { readonly reading: StatsReading; readonly at: number } | undefined;
  let lost: string | undefined;
  const view = (): StatsView | undefined =>
    shown === undefined
      ? undefined
      : { reading: shown.reading, ageMs: performance.now() - shown.at, lost };
  using screen = new PictureScreen({
    draw: (size) => {
      const current = view();
      return current === undefined ? [] : statsPicture(current, { ...size, ...looks() });
    },
    onLeave: (code) => {
      exitCode = code;
      over.abort();
    },
  });
  process.stdout.once('error', () => over.abort());
  await followStats(target, {
    intervalMs,
    abortSignal: over.signal,
    onReading: (reading) => {
      shown = { reading, at: performance.now() };
      lost = undefined;
      // Not before there is something to see: what fails at first is said on the usual screen.
      screen.open();
      screen.redraw();
    },
    onLost: (error) => {
      lost = error.message;
      screen.redraw();
    },
  });
  return exitCode;
}

function looks(): { hasColours: boolean; glyphs: typeof unicodeGlyphs } {
  const { NO_COLOR: noColour = '', LC_ALL, LC_CTYPE, LANG } = process.env;
  const locale = [LC_ALL, LC_CTYPE, LANG].find((name) => name !== undefined && name !== '') ?? '';
  // Windows has no such variables, and its terminals know Unicode.
  const hasUnicode = process.platform === 'win32' || /utf-?8/i.test(locale);
  return { hasColours: noColour === '', glyphs: hasUnicode ? unicodeGlyphs : asciiGlyphs };
}
