import { RmtxError } from '../errors.js';
import { Fields } from './fields.js';
import { printable } from './printable.js';

/** What a file of rmtx's own holds. Throws STATE_CORRUPT for what is no JSON object, as its getters do. */
export function parseStateFile(bytes: Uint8Array, file: string): Fields {
  const refuse = (text: string, cause?: unknown): Error =>
    new RmtxError('ERR_RMTX_STATE_CORRUPT', text, { cause });
  return Fields.parse(bytes, { what: printable(file), refuse });
}
