/**
 * The part of @lydell/node-pty that is used on Unix: its addon. Its own wrapper is not: it drops what
 * was not read 200 ms after the command's end, and its writes block where the command does not read.
 */

export interface TerminalAddon {
  /** A process in a session of its own, whose terminal is new; `master` is not close-on-exec. */
  readonly fork: (
    ...call: [
      file: string,
      args: readonly string[],
      env: readonly string[],
      cwd: string,
      columns: number,
      rows: number,
      uid: number,
      gid: number,
      isUtf8: boolean,
      helperFile: string,
      onExit: (code: number, exitSignal: number) => void,
    ]
  ) => { readonly fd: number; readonly pid: number; readonly pty: string };
  readonly resize: (fd: number, columns: number, rows: number) => void;
}

/** Throws where the package is not installed or does not load here. */
export function loadTerminalAddon(): TerminalAddon {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- optional, and only in the keeper
  const loader = require('@lydell/node-pty/requireBinary.js') as {
    requireBinary: (name: string) => TerminalAddon;
  };
  return loader.requireBinary('pty.node');
}

/** On macOS the addon starts commands through a small program of its own. */
export function helperProgram(): string {
  return process.platform === 'darwin'
    ? require.resolve(`@lydell/node-pty-darwin-${process.arch}/spawn-helper`)
    : '';
}
