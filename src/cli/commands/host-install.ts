import path from 'node:path';
import { DEFAULT_DISCOVERY } from '../../config/resolved-config.js';
import { RmtxError } from '../../errors.js';
import { hostStatus } from '../../host/administration.js';
import {
  enableLinger,
  installAutostart,
  planAutostart,
  serviceManager,
  uninstallAutostart,
  vanishesBecause,
} from '../../host/autostart.js';
import type { AutostartPlan, ServiceManager } from '../../host/autostart.js';
import { listenAddress } from '../../host/listen-address.js';
import type { FlagValues, Invocation } from '../arguments.js';
import { findFirewall, firewallLines } from '../firewall.js';
import { DEFAULT_LISTEN, stateDirectoryOf } from '../host-settings.js';
import { askLine, canAsk } from '../prompt.js';
import { dryRunText, lingerQuestion, installedLines } from '../report/install-text.js';
import type { Installed } from '../report/install-text.js';
import { jsonDocument } from '../report/json.js';
import { tabLine } from '../report/text.js';
import { serviceOf } from '../service-flag.js';

export async function run({ command, flags }: Invocation): Promise<number> {
  return command.name === 'host uninstall' ? uninstall(flags) : install(flags);
}

async function install(flags: FlagValues): Promise<number> {
  const isDryRun = flags.has('dry-run');
  if (!isDryRun) refuseRoot(flags);
  const { port } = listenAddress(flags.text('listen') ?? DEFAULT_LISTEN);
  if (port === 0)
    throw new RmtxError('ERR_RMTX_BAD_FLAG', '--listen with port 0 is another port at each start', {
      hint: 'choose a port: clients and firewalls have to know it',
    });
  const command = hostCommand(flags);
  const manager = await serviceManager({ command, isOnlyPlanned: isDryRun });
  const obstacle = isDryRun ? undefined : await startObstacle(manager, flags);
  const start = flags.has('no-start') || obstacle !== undefined ? 'later' : 'now';
  const plan = await planAutostart(manager, { command, start, mayReplace: flags.has('force') });
  if (!isDryRun) await installAutostart(manager, plan);
  const installed: Installed = {
    kind: manager.kind,
    file: manager.file,
    change: plan.change,
    isStarted: start === 'now',
    obstacle,
    linger: isDryRun ? undefined : await settleLinger(manager, flags),
    warnings: command.slice(0, 2).flatMap((file) => {
      const reason = vanishesBecause(file);
      return reason === undefined ? [] : [`${file} will not stay where it is: ${reason}`];
    }),
    firewall: firewallLines(await findFirewall(), {
      tcpPort: port,
      hasDiscovery: !flags.has('no-discovery'),
      program: process.execPath,
    }),
  };
  report(flags, { installed, plan, isDryRun });
  return 0;
}

async function uninstall(flags: FlagValues): Promise<number> {
  const stateDirectory = path.resolve(stateDirectoryOf(flags));
  const manager = await serviceManager({ command: ['rmtx', 'host'], isOnlyPlanned: false });
  const isRemoved = await uninstallAutostart(manager);
  process.stdout.write(
    flags.has('json')
      ? jsonDocument({ removed: isRemoved ? manager.file : null, state: stateDirectory })
      : tabLine(isRemoved ? 'uninstalled' : 'not installed', manager.file),
  );
  if (!flags.has('quiet') && !flags.has('json'))
    process.stderr.write(
      `rmtx: identity, paired clients and workspaces stay in ${stateDirectory}: remove it by hand if nobody needs them\n`,
    );
  return 0;
}

function refuseRoot(flags: FlagValues): void {
  if (process.getuid?.() !== 0 || flags.has('as-root')) return;
  throw new RmtxError(
    'ERR_RMTX_AUTOSTART_UNAVAILABLE',
    'this is root: every paired client could do anything on this machine',
    { hint: 'log in as the user whose runs these will be, or insist with --as-root' },
  );
}

/** Absolute, with everything said: what the system starts has neither this directory nor this environment. */
function hostCommand(flags: FlagValues): string[] {
  const [node, script = ''] = [process.execPath, process.argv[1]];
  const listen = flags.text('listen');
  const name = flags.text('name');
  const service = flags.has('service') ? serviceOf(flags, DEFAULT_DISCOVERY.service) : undefined;
  return [
    node,
    path.resolve(script),
    'host',
    `--state-dir=${path.resolve(stateDirectoryOf(flags))}`,
    ...(listen === undefined ? [] : [`--listen=${listen}`]),
    ...(name === undefined ? [] : [`--name=${name}`]),
    ...(service === undefined ? [] : [`--service=${service}`]),
    ...(flags.has('no-discovery') ? ['--no-discovery'] : []),
    ...(flags.has('no-keep-awake') ? ['--no-keep-awake'] : []),
  ];
}

/** Why the installed host cannot, or should not, be started at this moment. */
async function startObstacle(
  manager: ServiceManager,
  flags: FlagValues,
): Promise<string | undefined> {
  const status = await hostStatus(stateDirectoryOf(flags));
  if (!status.running) return undefined;
  if (!(await manager.isActive()))
    return `another host (pid ${status.pid ?? 0}) has this state directory: stop it first`;
  const { length } = status.runs;
  return length === 0
    ? undefined
    : `it has runs going on (${length}): starting it anew would end them`;
}

async function settleLinger(
  manager: ServiceManager,
  flags: FlagValues,
): Promise<Installed['linger']> {
  const { linger } = manager;
  if (linger === undefined) return undefined;
  if (await linger.isOn()) return { isOn: true };
  const isWanted = flags.has('no-linger')
    ? false
    : flags.has('linger') || (await wantsLinger(flags));
  if (!isWanted) return { isOn: false, toType: 'loginctl enable-linger' };
  const refusal = await enableLinger(manager);
  return refusal === undefined ? { isOn: true } : { isOn: false, refusal, toType: linger.byRoot };
}

async function wantsLinger(flags: FlagValues): Promise<boolean> {
  if (flags.has('json') || flags.has('quiet') || !canAsk()) return false;
  const answer = await askLine({
    text: lingerQuestion,
    subject: 'whether the host goes on without you',
    otherwise: 'say --linger or --no-linger',
  });
  return /^\s*(?:y|yes)?\s*$/i.test(answer);
}

function report(
  flags: FlagValues,
  result: {
    readonly installed: Installed;
    readonly plan: AutostartPlan;
    readonly isDryRun: boolean;
  },
): void {
  const { installed, plan, isDryRun } = result;
  if (flags.has('json')) {
    process.stdout.write(
      jsonDocument({
        file: installed.file,
        manager: installed.kind,
        change: plan.change,
        started: installed.isStarted && !isDryRun,
        not_started_because: installed.obstacle ?? null,
        linger: installed.linger?.isOn ?? null,
        warnings: installed.warnings,
        firewall: installed.firewall,
        ...(isDryRun ? { dry_run: true, text: plan.text, commands: plan.commands } : {}),
      }),
    );
    return;
  }
  if (isDryRun) process.stdout.write(plan.text);
  else process.stdout.write(tabLine('installed', installed.file));
  if (flags.has('quiet')) return;
  const lines = isDryRun ? dryRunText(installed, plan.commands) : installedLines(installed);
  for (const line of lines) process.stderr.write(`rmtx: ${line}\n`);
}
