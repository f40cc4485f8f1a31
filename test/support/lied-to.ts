/** A client that a host lies to: how it is run, what it said, and what its project is like afterwards. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Result, RigProject, RunningRmtx } from './rig.js';

/** So that the code of an error is said, too, and a host that is lost is not looked for for an hour. */
const FLAGS = ['-v', '--disconnect-grace', '1s'] as const;
export const verbose = { flags: FLAGS };

/** With a small heap: what grows without end is found out before it hurts the machine of the test. */
export function startExec(project: RigProject): RunningRmtx {
  return project.client.start(['exec', ...FLAGS, '--', 'true'], {
    cwd: project.root,
    env: { NODE_OPTIONS: '--max-old-space-size=700' },
  });
}

/** Everything in the project but rmtx's own config, as text. */
export function contents(project: RigProject): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(project.root, { recursive: true, withFileTypes: true })) {
    const at = path.relative(project.root, path.join(entry.parentPath, entry.name));
    if (entry.isSymbolicLink()) found[at] = '->';
    else if (entry.isFile() && at !== '.rmtx.json')
      found[at] = readFileSync(project.path(at), 'latin1');
  }
  return found;
}

/** rmtx failed, with this code, and not by a bug. */
export function assertFailed(result: Result, code: string, name: string): void {
  const said = `${name}: exit ${result.code}, ${result.stderr}`;
  assert.equal(result.code, 125, said);
  assert.match(result.stderr, new RegExp(`^rmtx: code: ${code}$`, 'm'), said);
  assert.doesNotMatch(result.stderr, /this is a bug in rmtx/, said);
}

/** The JSON objects on stdout. */
export function jsonLines(result: Result): Record<string, unknown>[] {
  return result.text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
