/** A launch agent of the user, on macOS. Made after launchd.plist(5); not tried. */
import { mkdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isExactText } from '../../runtime/exact-text.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { MARKER, readIfThere, refusedWord, runProgram } from './manager.js';
import type { LogOptions, ServiceManager } from './manager.js';

const LABEL = 'rmtx.host';

/** `Interactive`: builds are what the user waits for; other kinds get less processor time and disk. */
export function launchAgent(command: readonly string[], logFile: string): string {
  const words = command.map((word) => `    <string>${xmlText(word)}</string>`).join('\n');
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- ${MARKER}; rmtx host uninstall removes it. -->
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${words}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>5</integer>
  <key>ExitTimeOut</key>
  <integer>30</integer>
  <key>ProcessType</key>
  <string>Interactive</string>
  <key>StandardOutPath</key>
  <string>${xmlText(logFile)}</string>
  <key>StandardErrorPath</key>
  <string>${xmlText(logFile)}</string>
</dict>
</plist>
`;
}

/** Text between two tags. XML 1.0 has no way to say most control characters. */
export function xmlText(text: string): string {
  if (!isExactText(text) || /[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/.test(text))
    throw refusedWord(text, 'cannot be written in XML: a control character is in it');
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

export function launchdManager(): ServiceManager {
  const library = path.join(os.homedir(), 'Library');
  const file = path.join(library, 'LaunchAgents', `${LABEL}.plist`);
  const logFile = path.join(library, 'Logs', 'rmtx-host.log');
  const domain = `gui/${process.getuid?.() ?? 0}`;
  const service = `${domain}/${LABEL}`;
  const isActive = async (): Promise<boolean> =>
    (await runProgram(['launchctl', 'print', service])).code === 0;
  return {
    kind: 'launchd',
    file,
    logFile,
    text: (command) => launchAgent(command, logFile),
    existing: () => Promise.resolve(readIfThere(file)),
    write: (text) => {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileAtomic(file, text);
    },
    enabling: (start) => [
      ['launchctl', 'enable', service],
      // launchd reads the file when the agent is loaded, and only then.
      ...(start === 'restart' ? [['launchctl', 'bootout', service]] : []),
      ...(start === 'later' ? [] : [['launchctl', 'bootstrap', domain, file]]),
    ],
    // It is a failure to unload what is not loaded.
    disabling: async () => ((await isActive()) ? [['launchctl', 'bootout', service]] : []),
    forgetting: () => [],
    isActive,
    showing: ({ lines, isFollowed }: LogOptions) => [
      '/usr/bin/tail',
      '-n',
      String(lines),
      ...(isFollowed ? ['-F'] : []),
      logFile,
    ],
    linger: undefined,
  };
}
