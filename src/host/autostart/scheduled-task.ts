/** A task that Windows starts when the user logs on. Made after the Task Scheduler schema; not tried. */
import { mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { xmlText } from './launchd.js';
import { MARKER, refusedWord, runProgram } from './manager.js';
import type { LogOptions, ServiceManager } from './manager.js';

const TASK = 'rmtx-host';

/**
 * PowerShell has no window of its own that stays, and cmd appends both streams to one file. Between quotes
 * cmd takes everything as it is but `%`, which has no escape there.
 */
export function scheduledTask(
  command: readonly string[],
  about: { readonly user: string; readonly logFile: string },
): string {
  const words = [...command, about.logFile];
  for (const word of words)
    if (/["%\u0000-\u001f]/.test(word) || word.endsWith('\\'))
      throw refusedWord(
        word,
        'cannot be part of a scheduled task: it has a quote, a % or a \\ at its end',
      );
  const line = command.map((word) => `"${word}"`).join(' ');
  const argument = `/d /s /c "${line} >>"${about.logFile}" 2>&1"`;
  const script = `exit (Start-Process -FilePath cmd.exe -ArgumentList '${argument.replaceAll("'", "''")}' -WindowStyle Hidden -Wait -PassThru).ExitCode`;
  const encoded = Buffer.from(script, 'utf16le').toString('base64');
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>${MARKER}; rmtx host uninstall removes it.</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <UserId>${xmlText(about.user)}</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>${xmlText(about.user)}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>powershell.exe</Command>
      <Arguments>-NoProfile -NonInteractive -WindowStyle Hidden -EncodedCommand ${encoded}</Arguments>
    </Exec>
  </Actions>
</Task>
`;
}

export function taskManager(): ServiceManager {
  const local = process.env['LOCALAPPDATA'] ?? path.join(os.homedir(), 'AppData', 'Local');
  const file = path.join(local, 'rmtx', `${TASK}.xml`);
  const logFile = path.join(local, 'rmtx', `${TASK}.log`);
  const { username } = os.userInfo();
  const domain = process.env['USERDOMAIN'];
  const user = domain === undefined ? username : `${domain}\\${username}`;
  const isActive = async (): Promise<boolean> => {
    const { stdout } = await runProgram(['schtasks', '/Query', '/TN', TASK, '/FO', 'CSV', '/NH']);
    return stdout.includes('"Running"');
  };
  return {
    kind: 'task-scheduler',
    file,
    logFile,
    text: (command) => scheduledTask(command, { user, logFile }),
    existing: async () => {
      const { code, stdout } = await runProgram(['schtasks', '/Query', '/TN', TASK, '/XML']);
      return code === 0 ? stdout : undefined;
    },
    write: (text) => {
      mkdirSync(path.dirname(file), { recursive: true });
      // schtasks wants the encoding that the first line names, with its mark.
      writeFileAtomic(file, Buffer.from(`\ufeff${text}`, 'utf16le'));
    },
    enabling: (start) => [
      ...(start === 'restart' ? [['schtasks', '/End', '/TN', TASK]] : []),
      ['schtasks', '/Create', '/TN', TASK, '/XML', file, '/F'],
      ...(start === 'later' ? [] : [['schtasks', '/Run', '/TN', TASK]]),
    ],
    disabling: async () => [
      ...((await isActive()) ? [['schtasks', '/End', '/TN', TASK]] : []),
      ['schtasks', '/Delete', '/TN', TASK, '/F'],
    ],
    forgetting: () => [],
    isActive,
    showing: ({ lines, isFollowed }: LogOptions) => [
      'powershell.exe',
      '-NoProfile',
      '-NonInteractive',
      '-Command',
      `Get-Content -LiteralPath '${logFile.replaceAll("'", "''")}' -Tail ${lines}${isFollowed ? ' -Wait' : ''}`,
    ],
    linger: undefined,
  };
}
