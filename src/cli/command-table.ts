/**
 * Every command and flag there is, described once: parsing, help, completion and the table in README
 * all read this.
 */

import { hostCommands } from './host-commands.js';
import { runCommands } from './run-commands.js';
import { common, config, help, json, noOperands as none, pairing, target } from './shared-flags.js';

export interface FlagSpec {
  /** Without the dashes. */
  readonly name: string;
  readonly short?: string;
  /** What stands for the value in help; a flag without it is a switch. */
  readonly value?: string;
  /** The value is a time like `90s` and is parsed as one; a `duration` is waited for, which has a limit. */
  readonly kind?: 'duration' | 'age';
  /** May be given more than once; without it the last one counts. */
  readonly isList?: true;
  readonly summary: string;
}

export interface CommandSpec {
  /** As typed: one to three words. */
  readonly name: string;
  /** The file below `commands/` that runs it. */
  readonly module: ModuleName;
  readonly summary: string;
  /** What follows the flags, as usage shows it; empty where nothing may follow. */
  readonly operands: string;
  readonly minOperands: number;
  readonly maxOperands: number;
  /** The first word that is no flag starts another program's command line: nothing after it is ours. */
  readonly isWrapper?: true;
  readonly flags: readonly FlagSpec[];
  /** Paragraphs below the usage line in help. */
  readonly details?: readonly string[];
  readonly examples?: readonly string[];
}

export type ModuleName =
  | 'attach'
  | 'cache'
  | 'cancel'
  | 'config'
  | 'context'
  | 'doctor'
  | 'exec'
  | 'help'
  | 'host'
  | 'host-clients'
  | 'host-install'
  | 'host-logs'
  | 'host-pair-code'
  | 'host-status'
  | 'hosts'
  | 'init'
  | 'logs'
  | 'pair'
  | 'ping'
  | 'pull'
  | 'runs'
  | 'stats'
  | 'version'
  | 'wake';

export const commandTable: readonly CommandSpec[] = [
  ...runCommands,
  {
    name: 'init',
    module: 'init',
    summary: 'Pair with a host and write .rmtx.json for this project',
    ...none,
    flags: [...pairing, { name: 'yes', summary: 'Never ask which host: one, or none' }, ...common],
    details: [
      'Finds the hosts of this network, or takes the one that --host names. Run `rmtx host pair-code`',
      'there: it prints the code to type here. Nothing is written unless pairing worked. Where a config',
      'exists, only this user’s .rmtx.local.json gets the host. A host that this machine is paired with already',
      'needs no code.',
    ],
    examples: ['rmtx init', 'rmtx init --host 192.168.1.42'],
  },
  {
    name: 'pair',
    module: 'pair',
    summary: 'Pair with a host, or pair again, without touching the config',
    ...none,
    flags: [...pairing, ...common],
    examples: ['rmtx pair --host 192.168.1.42:33221 --code 12345678'],
  },
  {
    name: 'ping',
    module: 'ping',
    summary: 'Ask the host whether it is there',
    ...none,
    flags: [...target, ...common],
  },
  {
    name: 'doctor',
    module: 'doctor',
    summary: 'Say what keeps this machine from running a command on the host',
    ...none,
    flags: [...target, ...common],
    details: [
      'Takes the way of a run, one step after the other: config, state, name, interface, udp, tcp, tls,',
      'identity, pairing, clock, version, disk, and a trial run of a command that leaves nothing behind.',
      'A step that fails says what is likely the matter and what to type. It takes 15 seconds at most.',
      'The exit status is 1 where a step failed; warnings are none. Ctrl-C ends it at once.',
    ],
    examples: ['rmtx doctor', 'rmtx doctor --host 192.168.1.42'],
  },
  {
    name: 'stats',
    module: 'stats',
    summary: 'Show how busy the host is: processors, memory, disk, GPUs, runs',
    ...none,
    flags: [
      { name: 'watch', short: 'w', summary: 'Stay, and show it again and again; q leaves' },
      {
        name: 'interval',
        value: 'TIME',
        kind: 'duration',
        summary: 'With --watch: how often (default 1s)',
      },
      ...target,
      ...common,
    ],
    details: [
      'Prints one line of key=value, apart by TABs; - is what the host’s system does not tell. Memory is',
      'what programs can have; the disk is the one with the host’s state. active_runs counts those of',
      'all clients, contexts only your own.',
      'On a terminal --watch draws it, and goes on by itself when the connection was lost; anywhere',
      'else it prints a line, or with --json a document on one line, each time.',
    ],
    examples: ['rmtx stats', 'rmtx stats --watch', 'rmtx stats --watch --json --interval 10s'],
  },
  {
    name: 'wake',
    module: 'wake',
    summary: 'Wake a host that sleeps, and wait until it answers',
    operands: '[HOST]',
    minOperands: 0,
    maxOperands: 1,
    flags: [
      {
        name: 'timeout',
        value: 'TIME',
        kind: 'duration',
        summary: 'Wait so long for its answer (default 60s)',
      },
      { name: 'no-wait', summary: 'Send the packets and leave' },
      config,
      ...common,
    ],
    details: [
      'Sends Wake-on-LAN packets on every network of this machine, to the network card by which the host',
      'was visited last. It has to be switched on there, in the firmware and the system; it does not',
      'cross routers. HOST is the name of a paired host; without it the one that a command here means.',
    ],
    examples: ['rmtx wake box', 'rmtx wake box --timeout 2m'],
  },
  {
    name: 'hosts list',
    module: 'hosts',
    summary: 'Show the paired hosts: who is up, how busy, how far away',
    ...none,
    flags: [
      {
        name: 'timeout',
        value: 'TIME',
        kind: 'duration',
        summary: 'How long to wait for those that do not answer (default 1.5s)',
      },
      ...common,
    ],
    details: [
      'Asks all of them at the same time. A host is up, down (nothing',
      'answers), refused (it does not know this client any more), other (another machine answers there)',
      'or unclear. CPU is how busy it is now, RUNS those of all clients, RTT the way there and back.',
      '-v adds models, fingerprints and reasons.',
    ],
  },
  {
    name: 'hosts forget',
    module: 'hosts',
    summary: 'Drop a paired host from this client',
    operands: 'HOST',
    minOperands: 1,
    maxOperands: 1,
    flags: common,
    details: ['HOST is a name or a fingerprint of `rmtx hosts list`.'],
  },
  {
    name: 'context list',
    module: 'context',
    summary: "List this client's contexts on the host",
    ...none,
    flags: [...target, ...common],
  },
  {
    name: 'context delete',
    module: 'context',
    summary: 'Delete contexts on the host: workspaces, kept paths, blobs',
    operands: '[ID…]',
    minOperands: 0,
    maxOperands: Infinity,
    flags: [{ name: 'current', summary: "This project's context" }, ...target, ...common],
  },
  {
    name: 'context prune',
    module: 'context',
    summary: 'Delete contexts that have not been used for a while',
    ...none,
    flags: [
      { name: 'all', summary: 'Every context that no run uses' },
      {
        name: 'older-than',
        value: 'TIME',
        kind: 'age',
        summary: 'Those not used for this time, like 168h or 7d',
      },
      ...target,
      ...common,
    ],
  },
  {
    name: 'cache prune',
    module: 'cache',
    summary: 'Free what nothing refers to, here and on the host',
    ...none,
    flags: [{ name: 'dry-run', summary: 'Only say what would be deleted' }, ...target, ...common],
  },
  {
    name: 'config check',
    module: 'config',
    summary: 'Say whether the config is valid',
    ...none,
    flags: [config, ...common],
  },
  {
    name: 'config show',
    module: 'config',
    summary: 'Show the values in force',
    ...none,
    flags: [{ name: 'origin', summary: 'Say where each value comes from' }, config, ...common],
  },
  ...hostCommands,
  {
    name: 'version',
    module: 'version',
    summary: 'Print the version',
    ...none,
    flags: [json, help],
  },
  {
    name: 'help',
    module: 'help',
    summary: 'Explain a command or a topic',
    operands: '[TOPIC…]',
    minOperands: 0,
    maxOperands: 3,
    flags: [help],
  },
];

/** Words that stand before other words, and what they mean alone. */
export const commandGroups: Readonly<Record<string, { readonly alone?: string }>> = {
  cache: {},
  config: {},
  context: { alone: 'context list' },
  host: {},
  'host clients': { alone: 'host clients list' },
  hosts: { alone: 'hosts list' },
};

export function findCommand(name: string): CommandSpec | undefined {
  return commandTable.find((command) => command.name === name);
}

/** The words that may follow `group` (`''`: the first words), each once, in the table's order. */
export function nextWords(group: string): string[] {
  const prefix = group === '' ? '' : `${group} `;
  const words = commandTable
    .filter((command) => command.name.startsWith(prefix))
    .map((command) => command.name.slice(prefix.length).split(' ')[0] ?? '');
  return [...new Set(words)];
}
