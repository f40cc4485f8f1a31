import { findNodeAtLocation } from 'jsonc-parser';
import type { JSONPath, Node } from 'jsonc-parser';
import { RmtxError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import { printable } from '../util/printable.js';

export interface Complaint {
  readonly code?: ErrorCode;
  readonly hint?: string | undefined;
}

/** One config file's text: it knows its lines and words every complaint about a place in it. */
export class ConfigText {
  readonly file: string;
  readonly text: string;
  /** The parsed text; places are found in it once it is there. */
  root: Node | undefined;

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
  }

  /** Counted from 1; LF, CRLF and a lone CR each end a line. */
  lineAt(offset: number): number {
    return this.text.slice(0, offset).split(/\r\n|\n|\r/).length;
  }

  /** The error for the text at `offset`: `FILE:LINE: WHAT`. */
  errorAt(offset: number, what: string, complaint: Complaint = {}): RmtxError {
    return new RmtxError(
      complaint.code ?? 'ERR_RMTX_CONFIG_INVALID',
      `${printable(this.file)}:${this.lineAt(offset)}: ${what}`,
      { hint: complaint.hint },
    );
  }

  /** The error for the value at `path`: `FILE:LINE: KEY: WHAT`. */
  errorFor(path: JSONPath, what: string, complaint: Complaint = {}): RmtxError {
    const node = this.root === undefined ? undefined : findNodeAtLocation(this.root, path);
    return this.errorAt(node?.offset ?? 0, `${keyName(path)}: ${what}`, complaint);
  }
}

/** `mounts[0].path`, as a person would point at it. */
export function keyName(path: JSONPath): string {
  let name = '';
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`;
    else name += `${name === '' ? '' : '.'}${printable(part)}`;
  }
  return name;
}

/** A value from the file, quoted for a message and cut to a readable length. */
export function quoted(value: string): string {
  const shown = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return `"${printable(shown)}"`;
}
