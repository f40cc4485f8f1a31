import path from 'node:path';
import { projectWorkingDirectory } from '../../client/command.js';
import { pullFiles } from '../../client/pull.js';
import type { PullReport } from '../../client/pull.js';
import { findRun } from '../../client/runs.js';
import { resolveConfig } from '../../config/resolved-config.js';
import type { ResolvedConfig } from '../../config/resolved-config.js';
import { RmtxError } from '../../errors.js';
import { parseWorkspacePath } from '../../sync/entry.js';
import type { WorkspacePath } from '../../sync/entry.js';
import { printable } from '../../util/printable.js';
import type { Invocation } from '../arguments.js';
import { jsonDocument } from '../report/json.js';
import { targetOf } from '../target.js';

export { recover } from '../recovery.js';

/** Prints each path that was written; exits with 1 where something that was asked for is not here now. */
export async function run({ flags, operands }: Invocation): Promise<number> {
  const config = resolveConfig({ cwd: process.cwd(), configPath: flags.text('config') });
  const paths = operands.map((operand) => pathInProject(config, operand));
  const target = targetOf(flags);
  const named = flags.text('run');
  const runId = named === undefined ? undefined : await findRun(target, named);
  const report = await pullFiles({ ...target, config, runId, paths });
  if (flags.has('json')) process.stdout.write(jsonDocument({ ...report }));
  else show(report);
  return report.missing.length + report.conflicts.length + report.problems.length === 0 ? 0 : 1;
}

function show({ changed, conflicts, problems, missing }: PullReport): void {
  for (const each of changed) process.stdout.write(`${printable(each)}\n`);
  const say = (line: string): void => void process.stderr.write(`rmtx: ${line}\n`);
  for (const each of conflicts)
    say(`conflict: ${printable(each.path)}: ${printable(each.description)}`);
  for (const each of problems) say(`warning: ${printable(each.path)}: ${printable(each.message)}`);
  for (const each of missing) say(`error: ${printable(each)} is not in the workspace on the host`);
}

/** As a person types it, here: relative to the working directory, or absolute. */
function pathInProject({ projectRoot }: ResolvedConfig, operand: string): WorkspacePath {
  const below = path.isAbsolute(operand)
    ? path.relative(projectRoot, operand)
    : path.join(projectWorkingDirectory(projectRoot, process.cwd()), operand);
  const parsed = parseWorkspacePath(below.split(path.sep).join('/').replace(/\/+$/, ''));
  if (parsed !== undefined) return parsed;
  throw new RmtxError(
    'ERR_RMTX_BAD_ARGUMENT',
    `${printable(operand)} does not name a file or directory in the project`,
    { hint: 'name paths below the project folder, one by one' },
  );
}
