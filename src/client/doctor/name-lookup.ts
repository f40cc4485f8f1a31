/** Looking a name up as every program here does, but no longer than somebody waits. */
import { execFile } from 'node:child_process';
import { isIP } from 'node:net';

export type Lookup =
  | { readonly addresses: readonly string[] }
  /** As getaddrinfo has it: ENOTFOUND, EAI_AGAIN. ETIMEDOUT: no answer in time. */
  | { readonly errorCode: string };

const SCRIPT = `require('node:dns').lookup(process.argv[1], { all: true }, (error, found) =>
  process.stdout.write(JSON.stringify(error ? { errorCode: error.code } : { addresses: found.map(({ address }) => address) })))`;

/**
 * The addresses of a name, in the system's order; a literal is its own. In a process of its own: a lookup
 * that hangs cannot be ended otherwise, and would keep even `process.exit` waiting for it.
 */
export function lookUp(
  name: string,
  options: { readonly timeoutMs: number; readonly abortSignal: AbortSignal },
): Promise<Lookup> {
  if (isIP(name.split('%')[0] ?? '') !== 0) return Promise.resolve({ addresses: [name] });
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['-e', SCRIPT, name],
      {
        timeout: options.timeoutMs,
        killSignal: 'SIGKILL',
        signal: options.abortSignal,
        windowsHide: true,
        env: { ...process.env, NODE_OPTIONS: '' },
      },
      (error, stdout) =>
        resolve(error === null ? (JSON.parse(stdout) as Lookup) : { errorCode: 'ETIMEDOUT' }),
    );
  });
}
