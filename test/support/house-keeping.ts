/** What the tests of house-keeping share: what commands print for scripts, and runs that leave something. */
import assert from 'node:assert/strict';
import type { Result, RigProject } from './rig.js';

export const ISO_TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
export const FINGERPRINT = 'sha256:[0-9a-f]{64}';

/** The document of `--json` of a command that went well. */
export function json(result: Result): Record<string, unknown> {
  assert.equal(result.code, 0, result.stderr);
  return JSON.parse(result.text) as Record<string, unknown>;
}

/** The one object on stderr that `--json` turns every failure into. */
export function jsonError(result: Result): { code: string; message: string; hint?: string } {
  assert.equal(result.text, '');
  const lines = result.stderr.trimEnd().split('\n');
  assert.equal(lines.length, 1, result.stderr);
  return (JSON.parse(lines[0] ?? '') as { error: { code: string; message: string; hint?: string } })
    .error;
}

/** A run that went well. */
export async function ran(project: RigProject, script = 'true'): Promise<void> {
  const result = await project.sh(script);
  assert.equal(result.code, 0, result.stderr);
}
