/** The commands of the machine that runs. */
import type { CommandSpec } from './command-table.js';
import {
  common,
  help,
  noOperands as none,
  quiet,
  serving,
  stateDir,
  verbose,
} from './shared-flags.js';

export const hostCommands: readonly CommandSpec[] = [
  {
    name: 'host',
    module: 'host',
    summary: "Serve this machine's cores to paired clients, in the foreground",
    ...none,
    flags: [...serving, verbose, quiet, help],
    details: [
      'Prints `listening on ADDR` when it accepts connections. SIGTERM or Ctrl-C stops it, a second',
      'Ctrl-C at once. Anyone who is paired can run anything as this user.',
    ],
  },
  {
    name: 'host pair-code',
    module: 'host-pair-code',
    summary: 'Print a one-time code that lets one client pair',
    ...none,
    flags: [
      {
        name: 'ttl',
        value: 'TIME',
        kind: 'duration',
        summary: 'How long the code counts (default 5m)',
      },
      {
        name: 'label',
        value: 'LABEL',
        summary: 'What to call the client, whatever it says itself',
      },
      stateDir,
      ...common,
    ],
  },
  {
    name: 'host clients list',
    module: 'host-clients',
    summary: 'List who may run commands here',
    ...none,
    flags: [stateDir, ...common],
  },
  {
    name: 'host clients revoke',
    module: 'host-clients',
    summary: 'Refuse a client from now on and close its connections',
    operands: 'CLIENT',
    minOperands: 1,
    maxOperands: 1,
    flags: [stateDir, ...common],
    details: ['CLIENT is an id or a label of `rmtx host clients list`.'],
  },
  {
    name: 'host clients rename',
    module: 'host-clients',
    summary: 'Give a client another label',
    operands: 'CLIENT LABEL',
    minOperands: 2,
    maxOperands: 2,
    flags: [stateDir, ...common],
  },
  {
    name: 'host status',
    module: 'host-status',
    summary: 'Show whether the host runs here, its address, runs and disk use',
    ...none,
    flags: [stateDir, ...common],
  },
  {
    name: 'host install',
    module: 'host-install',
    summary: 'Have the system start the host by itself, as this user',
    ...none,
    flags: [
      ...serving,
      { name: 'no-start', summary: 'Do not start it now' },
      { name: 'linger', summary: 'Also while you are not logged in (Linux); never asks' },
      { name: 'no-linger', summary: 'Only while you are logged in; never asks' },
      { name: 'force', summary: 'Replace a file of that name that rmtx did not write' },
      { name: 'as-root', summary: 'Install it for root, if that is who you are' },
      { name: 'dry-run', summary: 'Print what would be written and run, and do nothing' },
      ...common,
    ],
    details: [
      'Linux: a unit of your own systemd, rmtx-host.service. macOS: a launch agent. Windows: a task at log',
      'on. It says what to type for the firewall and never changes it. Installed again, it takes the flags',
      'that are given then.',
    ],
    examples: ['rmtx host install', 'rmtx host install --name box --dry-run'],
  },
  {
    name: 'host uninstall',
    module: 'host-install',
    summary: 'Stop the installed host and have the system forget it; its state stays',
    ...none,
    flags: [stateDir, ...common],
  },
  {
    name: 'host logs',
    module: 'host-logs',
    summary: 'Show what the installed host logged',
    ...none,
    flags: [
      { name: 'follow', short: 'f', summary: 'Go on with what it logs from now on' },
      { name: 'lines', short: 'n', value: 'N', summary: 'So many of the last lines (default 100)' },
      ...common,
    ],
  },
];
