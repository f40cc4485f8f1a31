/** What the terminal that a report goes to can show. */

export interface TerminalLook {
  readonly hasColour: boolean;
  /** Else nothing but ASCII. */
  readonly hasUnicode: boolean;
  /** Lines are broken at it; undefined where nobody looks at lines. */
  readonly columns: number | undefined;
}

/** NO_COLOR and TERM=dumb are obeyed; a file or a pipe gets plain text in long lines. */
export function terminalLook(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  env: NodeJS.ProcessEnv,
): TerminalLook {
  const isTerminal = stream.isTTY === true;
  return {
    hasColour: isTerminal && env['TERM'] !== 'dumb' && (env['NO_COLOR'] ?? '') === '',
    hasUnicode: isUtf8(env),
    columns: isTerminal ? (stream.columns ?? 80) : undefined,
  };
}

/** As POSIX has it, the first of these that is set counts. Windows terminals take UTF-8 whatever is set. */
function isUtf8(env: NodeJS.ProcessEnv): boolean {
  if (process.platform === 'win32') return true;
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((each) => (each ?? '') !== '');
  return /utf-?8/i.test(locale ?? '');
}
