/**
 * The entry of `rmtx`: parse, recover, run, report, exit status. It loads only what parsing needs; each
 * command is a bundle of its own, read when it is asked for, so that every start stays short.
 */
import { parseCommandLine } from './arguments.js';
import type { CommandModule } from './command-module.js';
import type { ModuleName } from './command-table.js';
import { exitCodeOfError } from './exit-code.js';
import { renderError } from './report/error.js';
import type { ErrorFormat } from './report/error.js';

const modules: Readonly<Record<ModuleName, () => Promise<CommandModule>>> = {
  attach: () => import('./commands/attach.js'),
  cache: () => import('./commands/cache.js'),
  cancel: () => import('./commands/cancel.js'),
  config: () => import('./commands/config.js'),
  context: () => import('./commands/context.js'),
  doctor: () => import('./commands/doctor.js'),
  exec: () => import('./commands/exec.js'),
  help: () => import('./commands/help.js'),
  host: () => import('./commands/host.js'),
  'host-clients': () => import('./commands/host-clients.js'),
  'host-install': () => import('./commands/host-install.js'),
  'host-logs': () => import('./commands/host-logs.js'),
  'host-pair-code': () => import('./commands/host-pair-code.js'),
  'host-status': () => import('./commands/host-status.js'),
  hosts: () => import('./commands/hosts.js'),
  init: () => import('./commands/init.js'),
  logs: () => import('./commands/logs.js'),
  pair: () => import('./commands/pair.js'),
  ping: () => import('./commands/ping.js'),
  pull: () => import('./commands/pull.js'),
  runs: () => import('./commands/runs.js'),
  stats: () => import('./commands/stats.js'),
  version: () => import('./commands/version.js'),
  wake: () => import('./commands/wake.js'),
};

/** What is known of the call so far, for the wording of a failure at any moment. */
let commandName: string | undefined;
let format: ErrorFormat;

async function main(argv: readonly string[]): Promise<void> {
  format = guessFormat(argv);
  surviveClosedReaders();
  process.once('uncaughtException', dieOfBug);
  process.once('beforeExit', dieOfSilence);
  try {
    const invocation = parseCommandLine(argv);
    commandName = invocation.command.name;
    format = { isJson: invocation.flags.has('json'), isVerbose: invocation.flags.has('verbose') };
    const command = await modules[invocation.command.module]();
    await command.recover?.(invocation);
    process.exitCode = await command.run(invocation);
  } catch (error) {
    process.stderr.write(renderError(error, format));
    process.exitCode = exitCodeOfError(error, commandName);
  } finally {
    process.off('beforeExit', dieOfSilence);
  }
}

/** A failure of parsing itself is worded in the format that was asked for, too. */
function guessFormat(argv: readonly string[]): ErrorFormat {
  const end = argv.indexOf('--');
  const flags = end < 0 ? argv : argv.slice(0, end);
  return { isJson: flags.includes('--json'), isVerbose: false };
}

/** `rmtx … | head -1`: whoever reads may leave. That is no failure, and never a stack trace. */
function surviveClosedReaders(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    });
}

/** An exception outside of any promise we wait for: the process's state is unknown, so it ends here. */
function dieOfBug(error: unknown): void {
  process.stderr.write(renderError(error, format));
  process.exit(exitCodeOfError(error, commandName));
}

/** Node ends quietly, with 0, when nothing is left that could ever resolve what is being awaited. */
function dieOfSilence(): void {
  dieOfBug(new Error('the command stopped without a result'));
}

void main(process.argv.slice(2));
