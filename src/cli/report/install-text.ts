/** What `rmtx host install` tells a person. */
import { commandText } from '../../host/autostart.js';
import { printable } from '../../util/printable.js';

export interface Installed {
  readonly kind: 'systemd' | 'launchd' | 'task-scheduler';
  readonly file: string;
  readonly change: 'new' | 'changed' | 'none';
  readonly isStarted: boolean;
  /** Why it was not started. */
  readonly obstacle: string | undefined;
  /** Undefined where the system has no such thing. */
  readonly linger:
    | { readonly isOn: true }
    | { readonly isOn: false; readonly refusal?: string; readonly toType: string }
    | undefined;
  readonly warnings: readonly string[];
  readonly firewall: readonly string[];
}

export const lingerQuestion =
  'rmtx: the system ends your programs when you log out, and starts none before you log in\nlet the host go on without you (loginctl enable-linger)? [Y/n] ';

const STARTS: Readonly<Record<Installed['kind'], string>> = {
  systemd: 'systemctl --user start rmtx-host',
  launchd: 'launchctl kickstart gui/$(id -u)/rmtx.host',
  'task-scheduler': 'schtasks /Run /TN rmtx-host',
};

export function installedLines(installed: Installed): string[] {
  const { isStarted, obstacle, linger, kind, change } = installed;
  return [
    ...installed.warnings.map((line) => `warning: ${printable(line)}`),
    ...(change === 'none' ? ['it was installed like this already'] : []),
    isStarted ? 'it is started, and will be by itself' : `not started${because(obstacle)}`,
    ...(isStarted ? [] : [`to start it: ${STARTS[kind]}`]),
    ...lingerLines(linger),
    'its log: rmtx host logs -f; to pair: rmtx host pair-code; to end it: rmtx host uninstall',
    ...firewallText(installed),
  ];
}

export function dryRunText(
  installed: Installed,
  commands: readonly (readonly string[])[],
): string[] {
  return [
    ...installed.warnings.map((line) => `warning: ${printable(line)}`),
    `that would be written to ${printable(installed.file)}, and these be run:`,
    ...commands.map((command) => `  ${printable(commandText(command))}`),
    ...firewallText(installed),
  ];
}

function because(obstacle: string | undefined): string {
  return obstacle === undefined ? '' : `: ${printable(obstacle)}`;
}

function lingerLines(linger: Installed['linger']): string[] {
  if (linger === undefined || linger.isOn) return [];
  const refused = linger.refusal === undefined ? '' : ` (${printable(linger.refusal)})`;
  return [`it runs only while you are logged in${refused}; for always: ${linger.toType}`];
}

function firewallText({ firewall }: Installed): string[] {
  const [first = '', ...others] = firewall;
  return [first, ...others.map((line) => `  ${line}`)];
}
