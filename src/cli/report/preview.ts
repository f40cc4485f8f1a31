/** What of a project takes part in a run, before any run: for `init` and `exec --dry-run`. */
import { formatSize } from '../../util/units.js';
import { pathFields } from './json.js';
import { count } from './text.js';

export interface Preview {
  readonly files: number;
  readonly bytes: number;
  /** Largest first. */
  readonly largestFolders: readonly { readonly path: string; readonly bytes: number }[];
  readonly problems: readonly {
    readonly path: string;
    readonly code: string;
    readonly message: string;
  }[];
}

export function previewJson(preview: Preview): object {
  return {
    files: preview.files,
    bytes: preview.bytes,
    largest_folders: preview.largestFolders.map((folder) => ({
      ...pathFields(folder.path),
      bytes: folder.bytes,
    })),
    problems: preview.problems.map((problem) => ({
      ...pathFields(problem.path),
      code: problem.code,
      message: problem.message,
    })),
  };
}

/** Names and values, for a list below each other. */
export function previewPairs(preview: Preview): (readonly [string, string])[] {
  const folders = preview.largestFolders.map(({ path, bytes }) => `${path} ${formatSize(bytes)}`);
  return [
    ['files', `${count(preview.files, 'file')}, ${formatSize(preview.bytes)}`],
    ...(folders.length === 0 ? [] : [['largest', folders.join(', ')] as const]),
    ...preview.problems.map(({ path, message }) => ['problem', `${path}: ${message}`] as const),
  ];
}
