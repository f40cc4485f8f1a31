/**
 * Durations and sizes as people write them: `90s`, `1h30m`, `750ms`; `500MB`, `2GiB`. What the format
 * functions return has no blanks, so it stays one column of a table, and parses again.
 */

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Node's timers hold 31 bits of milliseconds, and one that is set to more goes off at once. */
export const LONGEST_WAIT_MS = 24 * 24 * 60 * 60 * 1000;

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;
const SIZE = /^(\d+(?:\.\d+)?) ?([a-z]+)$/;

/**
 * Milliseconds of `90s`, `15m`, `168h`, `7d`, `750ms`, `1.5h` or `1h30m`. A bare number has no unit and
 * is refused. Undefined for anything else, and for what does not fit a whole number.
 */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(DURATION_PART))
    sum += Number(amount) * (MILLISECONDS[unit ?? ''] ?? NaN);
  return wholeOrUndefined(sum);
}

/** Bytes of `500MB` (powers of 1000) or `2GiB` (powers of 1024), in any case; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit] = SIZE.exec(text.toLowerCase()) ?? [];
  if (amount === undefined || unit === undefined || !Object.hasOwn(BYTES, unit)) return undefined;
  return wholeOrUndefined(Number(amount) * (BYTES[unit] ?? NaN));
}

/** `750ms`, `1.5s`, `2m5s`, `3h10m`, `7d`: the two largest units that matter. */
export function formatDuration(milliseconds: number): string {
  const rounded = Math.round(milliseconds);
  if (rounded < 1000) return `${rounded}ms`;
  // Decided on what will be shown: 59,960 ms is a minute, not `60s`.
  const tenths = Math.round(rounded / 100);
  if (tenths < 600) return `${tenths / 10}s`;
  const seconds = Math.round(rounded / 1000);
  if (seconds < 3600) return joinUnits(seconds, 60, ['m', 's']);
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return joinUnits(minutes, 60, ['h', 'm']);
  return joinUnits(Math.round(minutes / 60), 24, ['d', 'h']);
}

/** `512B`, `1.5kB`, `18MB`, `2.3GB`: powers of 1000, at most three digits before the point. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let amount = Math.round(bytes);
  let index = 0;
  // The second limit keeps 999,960 from being shown as `1000kB`.
  while (index < units.length - 1 && (index === 0 ? amount >= 1000 : amount >= 999.5)) {
    amount /= 1000;
    index += 1;
  }
  const shown = amount < 10 && index > 0 ? Math.round(amount * 10) / 10 : Math.round(amount);
  return `${shown}${units[index] ?? ''}`;
}

function joinUnits(amount: number, base: number, [large, small]: [string, string]): string {
  const rest = amount % base;
  return `${Math.floor(amount / base)}${large}${rest === 0 ? '' : `${rest}${small}`}`;
}

function wholeOrUndefined(amount: number): number | undefined {
  const whole = Math.round(amount);
  return Number.isSafeInteger(whole) ? whole : undefined;
}
