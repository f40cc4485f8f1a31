import { RmtxError } from '../errors.js';
import { Fields } from '../util/fields.js';

/** The fields of a message, or of a part of one; BAD_MESSAGE for what is not as it should be. */
export function messageFields(value: unknown, what: string): Fields {
  return new Fields(value, { what, refuse: badMessage });
}

export function badMessage(text: string): RmtxError {
  return new RmtxError('ERR_RMTX_BAD_MESSAGE', `the other side sent something wrong: ${text}`, {
    hint: 'both machines should run the same version of rmtx: compare rmtx version',
  });
}
