import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isRmtxError } from '../../../src/errors.js';
import type { RmtxError } from '../../../src/errors.js';

/** The checkout, seen from the compiled test. */
export const repository = path.resolve(__dirname, '../../../..');

/** A real folder under the system's temporary one, gone when the test ends. */
export class TemporaryFolder implements Disposable {
  readonly path: string;

  constructor(files: Readonly<Record<string, string | object>> = {}) {
    this.path = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'rmtx-config-')));
    for (const [name, content] of Object.entries(files)) this.write(name, content);
  }

  at(...parts: string[]): string {
    return path.join(this.path, ...parts);
  }

  /** A name that ends in '/' is a folder; a plain object is written as JSON. Returns the path. */
  write(name: string, content: string | object): string {
    const file = this.at(name);
    mkdirSync(name.endsWith('/') ? file : path.dirname(file), { recursive: true });
    if (!name.endsWith('/'))
      writeFileSync(
        file,
        typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content),
      );
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The RmtxError that `action` throws; anything else fails the test. */
export function errorOf(action: () => unknown): RmtxError {
  try {
    action();
  } catch (error) {
    if (isRmtxError(error)) return error;
    throw error;
  }
  throw new Error('expected an RmtxError, nothing was thrown');
}

export const PIN = `sha256:${'0a'.repeat(32)}`;
export const OTHER_PIN = `sha256:${'b1'.repeat(32)}`;
