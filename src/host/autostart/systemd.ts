/** A unit of the user's own systemd. */
import os from 'node:os';
import path from 'node:path';
import { RmtxError } from '../../errors.js';
import { isExactText } from '../../runtime/exact-text.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { mkdirSync } from 'node:fs';
import { MARKER, firstLine, readIfThere, refusedWord, runProgram, shellLine } from './manager.js';
import type { LogOptions, ServiceManager } from './manager.js';

export const UNIT = 'rmtx-host.service';

/**
 * Nothing is taken from the host that a user's own shell has: a run may do whatever the user may, sudo
 * included (so no NoNewPrivileges, no private /tmp, no read-only home).
 *
 * `mixed`: SIGTERM goes to the host alone, which ends its runs in order; whatever is left of them when it is
 * gone is killed. With the default every command would get SIGTERM first, and the keepers of terminals.
 * `continue`: a compiler that runs out of memory must not take the host along.
 */
export function systemdUnit(command: readonly string[]): string {
  return `# ${MARKER}; rmtx host uninstall removes it.
# Changes of your own belong into a drop-in: systemctl --user edit ${UNIT}

[Unit]
Description=rmtx host: lends this machine to paired clients

[Service]
Type=exec
ExecStart=${execLine(command)}
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStopSec=30
OOMPolicy=continue
TasksMax=infinity
SyslogIdentifier=rmtx-host

[Install]
WantedBy=default.target
`;
}

/** systemd.service(5), COMMAND LINES, and systemd.syntax(7), QUOTING. */
function execLine([program = '', ...args]: readonly string[]): string {
  // The program itself is neither unescaped in full nor are variables replaced in it.
  if (/["'\\\u0000-\u001f\u007f]/.test(program))
    throw refusedWord(
      program,
      'cannot be started by systemd: a quote or a backslash is in its path',
    );
  const words = args.map((word) => quoted(word).replaceAll('$', '$$$$'));
  return [quoted(program), ...words].join(' ');
}

function quoted(word: string): string {
  if (!isExactText(word)) throw refusedWord(word, 'is not valid Unicode');
  const escaped = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('%', '%%')
    .replace(/[\u0001-\u001f\u007f]/g, hexEscape);
  return `"${escaped}"`;
}

function hexEscape(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/**
 * Throws AUTOSTART_UNAVAILABLE where no systemd serves this user (containers, su, other inits), unless
 * `isOnlyPlanned`: then the usual place is presumed.
 */
export async function systemdManager(options: {
  readonly isOnlyPlanned: boolean;
  /** For the hint of what to do without. */
  readonly command: readonly string[];
}): Promise<ServiceManager> {
  const asked = await runProgram([...SYSTEMCTL, 'show-environment']);
  if (asked.code !== 0 && !options.isOnlyPlanned) {
    const why =
      asked.code === undefined
        ? 'there is no systemctl here'
        : `systemd does not serve this user: ${firstLine(asked.stderr) ?? 'systemctl --user failed'}`;
    throw unavailable(why, options.command);
  }
  // What the manager itself has, not this shell, says where it looks for units.
  const [, named] = /^XDG_CONFIG_HOME=(\/.*)$/m.exec(asked.stdout) ?? [];
  const file = path.join(named ?? path.join(os.homedir(), '.config'), 'systemd', 'user', UNIT);
  return {
    kind: 'systemd',
    file,
    logFile: undefined,
    text: systemdUnit,
    existing: () => Promise.resolve(readIfThere(file)),
    write: (text) => {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileAtomic(file, text);
    },
    enabling: (start) => [
      [...SYSTEMCTL, 'daemon-reload'],
      [...SYSTEMCTL, 'enable', ...(start === 'start' ? ['--now'] : []), UNIT],
      ...(start === 'restart' ? [[...SYSTEMCTL, 'restart', UNIT]] : []),
    ],
    disabling: () => Promise.resolve([[...SYSTEMCTL, 'disable', '--now', UNIT]]),
    forgetting: () => [[...SYSTEMCTL, 'daemon-reload']],
    isActive: async () =>
      (await runProgram([...SYSTEMCTL, 'is-active', '--quiet', UNIT])).code === 0,
    showing: journalctl,
    linger: {
      isOn: async () => {
        const { stdout } = await runProgram([
          'loginctl',
          'show-user',
          userName(),
          '--property=Linger',
        ]);
        return stdout.trim() === 'Linger=yes';
      },
      enabling: ['loginctl', 'enable-linger'],
      byRoot: shellLine(['sudo', 'loginctl', 'enable-linger', userName()]),
    },
  };
}

const SYSTEMCTL = ['systemctl', '--user'] as const;

function journalctl({ lines, isFollowed, isJson }: LogOptions): string[] {
  return [
    'journalctl',
    '--user',
    `--unit=${UNIT}`,
    `--lines=${lines}`,
    ...(isFollowed ? ['--follow'] : []),
    ...(isJson ? ['--output=json'] : ['--no-pager']),
  ];
}

function userName(): string {
  return os.userInfo().username;
}

function unavailable(why: string, command: readonly string[]): RmtxError {
  const line = shellLine(command);
  return new RmtxError('ERR_RMTX_AUTOSTART_UNAVAILABLE', `rmtx cannot be installed: ${why}`, {
    hint: `log in as the user itself rather than by su or sudo; in a container or with another init let cron start it (crontab -e): @reboot ${line.replaceAll('%', '\\%')}`,
  });
}
