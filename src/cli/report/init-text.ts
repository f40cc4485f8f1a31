import { printable } from '../../util/printable.js';
import { formatSize } from '../../util/units.js';
import type { Preview } from './preview.js';
import { count } from './text.js';

/** What `init` has done to the project's files. */
export type InitOutcome =
  | {
      readonly kind: 'created';
      readonly configFile: string;
      /** What was recognised: `Node.js`, `Rust`. */
      readonly projectKinds: readonly string[];
      readonly ignore: readonly string[];
      readonly keepOnHost: readonly string[];
    }
  | {
      readonly kind: 'joined';
      readonly configFile: string;
      readonly localFile: string;
      readonly hasChanged: boolean;
    };

/** What the host said to the first ping. */
export interface FirstPing {
  readonly name: string;
  readonly rttMs: number;
}

export interface InitReport {
  readonly outcome: InitOutcome;
  readonly preview: Preview | undefined;
  readonly ping: FirstPing | undefined;
}

/** What the person should know before the first run. */
export function initLines({ outcome, preview, ping }: InitReport): string[] {
  return [
    ...(outcome.kind === 'created' ? createdLines(outcome) : joinedLines(outcome)),
    ...(preview === undefined ? [] : previewLines(preview)),
    ...(ping === undefined ? [] : [pingLine(ping)]),
    'rmtx: try it: rmtx exec -- uname -a',
  ];
}

function pingLine({ name, rttMs }: FirstPing): string {
  return `rmtx: paired with ${printable(name)}, which answers in ${Math.round(rttMs * 10) / 10}ms`;
}

function createdLines(outcome: Extract<InitOutcome, { kind: 'created' }>): string[] {
  const kinds = outcome.projectKinds.length === 0 ? '' : ` for ${outcome.projectKinds.join(', ')}`;
  const kept = outcome.keepOnHost.map(printable).join(', ');
  return [
    `rmtx: wrote ${printable(outcome.configFile)}${kinds}`,
    `rmtx: never sent, secrets among them: ${outcome.ignore.map(printable).join(', ')}`,
    ...(kept === '' ? [] : [`rmtx: stays on the host from run to run: ${kept}`]),
  ];
}

function joinedLines(outcome: Extract<InitOutcome, { kind: 'joined' }>): string[] {
  const local = printable(outcome.localFile);
  return [
    `rmtx: kept ${printable(outcome.configFile)} as it is`,
    outcome.hasChanged
      ? `rmtx: wrote this host into ${local}`
      : 'rmtx: it names this host already, so nothing was written',
  ];
}

function previewLines(preview: Preview): string[] {
  // A twentieth of it all is what one may want to leave out.
  const worthNaming = preview.largestFolders.filter(({ bytes }) => bytes * 20 >= preview.bytes);
  const folders = worthNaming.map(({ path, bytes }) => `${printable(path)} (${formatSize(bytes)})`);
  const largest = folders.length === 0 ? '' : `; largest folders: ${folders.join(', ')}`;
  return [
    `rmtx: the first run sends ${count(preview.files, 'file')} (${formatSize(preview.bytes)})${largest}`,
    ...preview.problems.map(
      ({ path, message }) => `rmtx: warning: ${printable(path)}: ${printable(message)}`,
    ),
  ];
}
