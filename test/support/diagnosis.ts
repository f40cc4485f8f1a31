/** What `rmtx doctor --json` says, and that it says it as promised. */
import assert from 'node:assert/strict';
import type { Result, RigProject } from './rig.js';

export interface DiagnosedStep {
  readonly step: string;
  readonly verdict: 'ok' | 'warning' | 'failed' | 'not-reached';
  readonly elapsed_ms: number;
  readonly detail?: string;
  readonly code?: string;
  readonly cause?: string;
  readonly cure?: string;
}

export interface Diagnosis {
  readonly steps: readonly DiagnosedStep[];
  readonly failed: string | null;
}

const STEPS =
  'config state name interface udp tcp tls identity pairing clock version disk run'.split(' ');
/** As README promises, and some for a machine that is shared. */
const LIMIT_MS = 16_000;

/** `rmtx doctor --json` in the project's root. */
export async function diagnose(
  project: RigProject,
  args: readonly string[] = [],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly wrap?: readonly string[];
  } = {},
): Promise<Diagnosis> {
  const command = ['doctor', '--json', ...args];
  return diagnosisOf(await project.client.start(command, { cwd: project.root, ...options }).ended);
}

/** The document on stdout, checked for its shape. */
function diagnosisOf(result: Result): Diagnosis {
  assert.doesNotMatch(result.stderr, /this is a bug/);
  const diagnosis = JSON.parse(result.text) as Diagnosis;
  assert.deepEqual(
    diagnosis.steps.map(({ step }) => step),
    STEPS,
  );
  const first = diagnosis.steps.find(({ verdict }) => verdict === 'failed');
  assert.equal(diagnosis.failed, first?.step ?? null);
  assert.equal(result.code, first === undefined ? 0 : 1, result.stderr);
  for (const { verdict, detail, code, cause, cure } of diagnosis.steps) {
    assert.equal(detail !== undefined, verdict !== 'not-reached');
    const hasTrouble = verdict === 'failed' || verdict === 'warning';
    for (const text of [code, cause, cure]) assert.equal(text !== undefined, hasTrouble);
  }
  const totalMs = diagnosis.steps.reduce((sum, each) => sum + each.elapsed_ms, 0);
  assert.ok(totalMs < LIMIT_MS, `it took ${totalMs} ms`);
  return diagnosis;
}

export function stepOf(diagnosis: Diagnosis, name: string): DiagnosedStep {
  const found = diagnosis.steps.find(({ step }) => step === name);
  assert.ok(found, name);
  return found;
}

/** `tcp: firewall` of the first step that failed; `well` where none did. */
export function verdictOf(diagnosis: Diagnosis): string {
  if (diagnosis.failed === null) return 'well';
  return `${diagnosis.failed}: ${stepOf(diagnosis, diagnosis.failed).code ?? ''}`;
}
