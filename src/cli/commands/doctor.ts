import { examine } from '../../client/doctor.js';
import { clientHome } from '../../client/home.js';
import type { Invocation } from '../arguments.js';
import { EXIT_FAILED } from '../exit-code.js';
import { doctorEndText, doctorJson, doctorStepText } from '../report/doctor-text.js';
import { jsonDocument } from '../report/json.js';
import { ProgressLine } from '../report/progress.js';
import { terminalLook } from '../report/terminal-look.js';

/**
 * Nothing is recovered before it, as before other commands: what is wrong with the place is what it is
 * asked for, and it only looks.
 */
export async function run({ flags }: Invocation): Promise<number> {
  const isJson = flags.has('json');
  const look = terminalLook(process.stdout, process.env);
  const isWatched = process.stderr.isTTY && process.env['TERM'] !== 'dumb' && !isJson;
  const progress = new ProgressLine({
    write: (text) => isWatched && !flags.has('quiet') && process.stderr.write(text),
    columns: () => process.stderr.columns,
    now: () => performance.now(),
  });
  const report = await examine({
    cwd: process.cwd(),
    configPath: flags.text('config'),
    host: flags.text('host'),
    home: clientHome(),
    env: process.env,
    onStart: (step) => progress.begin(step, `examining: ${step}`),
    onReport: (step) => {
      progress.end(step.step);
      const isSaid = !flags.has('quiet') || step.verdict === 'failed';
      if (!isJson && isSaid) process.stdout.write(doctorStepText(step, look));
    },
  });
  progress.stop();
  process.stdout.write(isJson ? jsonDocument(doctorJson(report)) : doctorEndText(report, look));
  return report.failed === undefined ? 0 : EXIT_FAILED;
}
