import { serviceComplaint } from '../config/value-checks.js';
import { RmtxError } from '../errors.js';
import { printable } from '../util/printable.js';
import type { FlagValues } from './arguments.js';

/** The name that hosts announce themselves under: `--service`, or the usual one. Throws BAD_FLAG. */
export function serviceOf(flags: FlagValues, usual: string): string {
  const service = flags.text('service') ?? usual;
  const complaint = serviceComplaint(service);
  if (complaint === undefined) return service;
  throw new RmtxError('ERR_RMTX_BAD_FLAG', `--service ${printable(service)} ${complaint}`);
}
