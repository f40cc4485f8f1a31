import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Result, RigProject, RunningRmtx } from './rig.js';

/** The document of `--report`, as far as tests ask. */
export interface ReportedRun extends Result {
  readonly runId: string;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly changed: readonly string[];
  readonly deleted: readonly string[];
  /** Where the run's version was kept, by path; null where it has none. */
  readonly conflicts: Readonly<Record<string, string | null>>;
  readonly problems: readonly { readonly path: string; readonly code: string }[];
}

export interface ReportedOptions {
  readonly flags?: readonly string[];
  readonly cwd?: string;
}

/** A run of a shell script that is going on. */
export interface StartedRun {
  readonly running: RunningRmtx;
  readonly ended: Promise<ReportedRun>;
}

/** Starts `rmtx exec --report … -- sh -c SCRIPT`. */
export function startReported(
  project: RigProject,
  script: string,
  { flags = [], cwd = project.root }: ReportedOptions = {},
): StartedRun {
  const file = path.join(project.client.rig.newDirectory('report'), 'report.json');
  const running = project.client.start(
    ['exec', '--report', file, ...flags, '--', 'sh', '-c', script],
    { cwd },
  );
  return { running, ended: running.ended.then((result) => withReport(result, file)) };
}

/** Runs a shell script, with its report. */
export function runReported(
  project: RigProject,
  script: string,
  options?: ReportedOptions,
): Promise<ReportedRun> {
  return startReported(project, script, options).ended;
}

interface Named {
  readonly path?: string;
}

function withReport(result: Result, file: string): ReportedRun {
  const report = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly run_id: string;
    readonly uploaded_bytes: number;
    readonly downloaded_bytes: number;
    readonly changed: readonly Named[];
    readonly deleted: readonly Named[];
    readonly conflicts: readonly (Named & { readonly kept_theirs_as: Named | null })[];
    readonly problems: readonly (Named & { readonly code: string })[];
    readonly error: unknown;
  };
  if (report.error !== null) throw new Error(`rmtx failed: ${JSON.stringify(report.error)}`);
  const nameOf = ({ path: name }: Named): string => name ?? '(not UTF-8)';
  return {
    ...result,
    runId: report.run_id,
    uploadedBytes: report.uploaded_bytes,
    downloadedBytes: report.downloaded_bytes,
    changed: report.changed.map(nameOf),
    deleted: report.deleted.map(nameOf),
    conflicts: Object.fromEntries(
      report.conflicts.map((conflict) => [
        nameOf(conflict),
        conflict.kept_theirs_as === null ? null : nameOf(conflict.kept_theirs_as),
      ]),
    ),
    problems: report.problems.map((problem) => ({ path: nameOf(problem), code: problem.code })),
  };
}
