/** Help texts, made by cac from the command table. Loaded only when help is asked for. */
import { cac } from 'cac';
import { RmtxError } from '../errors.js';
import { closest } from '../util/closest.js';
import { printable } from '../util/printable.js';
import { commandGroups, commandTable, findCommand } from './command-table.js';
import type { CommandSpec, FlagSpec } from './command-table.js';
import { exitCodeTable } from './exit-code.js';
import { renderList } from './report/text.js';

interface Section {
  title?: string;
  body: string;
}

/** The whole text for `rmtx help WORD…`; throws ERR_RMTX_UNKNOWN_COMMAND for what has no help. */
export function helpText(words: readonly string[]): string {
  const name = words.join(' ');
  const command = findCommand(name);
  const members = commandTable.filter((candidate) => candidate.name.startsWith(`${name} `));
  if (name === '') return overview();
  if (command !== undefined) return commandHelp(command) + otherCommands(members);
  if (Object.hasOwn(commandGroups, name)) return groupHelp(name, members);
  const topic = Object.hasOwn(topics, name) ? topics[name] : undefined;
  if (topic !== undefined) return topic();
  const known = [...commandTable.map((candidate) => candidate.name), ...Object.keys(topics)];
  const meant = closest(name, known);
  throw new RmtxError('ERR_RMTX_UNKNOWN_COMMAND', `no help for ${printable(name)}`, {
    hint: meant === undefined ? 'rmtx help lists the commands' : `did you mean rmtx help ${meant}?`,
  });
}

const topics: Readonly<Record<string, () => string>> = {
  'exit-codes': () => `Exit codes:\n${indent(renderList(exitCodeTable))}`,
  environment: () => `Environment:\n${indent(renderList(environmentTable))}`,
};

const environmentTable: readonly (readonly [string, string])[] = [
  ['RMTX_HOST', 'the host to use, as --host; --host wins'],
  ['RMTX_HOME', "this client's state: identity, hosts, caches (default ~/.rmtx)"],
  ['RMTX_STATE_DIR', "a host's state, as --state-dir"],
  ['NO_COLOR, TERM=dumb', 'plain output: no colours, no line that is drawn over'],
];

/** One of cac's commands prints the overview or a command's help, with its sections arranged by us. */
function render(
  usage: CommandSpec | undefined,
  arrange: (sections: Section[]) => Section[],
): string {
  const program = cac('rmtx');
  let text = '';
  program.help((sections) => {
    text = arrange(sections)
      .map(({ title, body }) => (title === undefined ? body : `${title}:\n${body}`))
      .join('\n\n');
    return [];
  });
  program.usage('COMMAND [flags]');
  for (const command of commandTable) {
    const entry = program.command(command.name, command.summary).usage(usageOf(command));
    for (const flag of command.flags) entry.option(flagLabel(flag), flag.summary);
    for (const example of command.examples ?? []) entry.example(`  ${example}`);
    if (command === usage) program.matchedCommand = entry;
  }
  withoutPrinting(() => program.outputHelp());
  return `${text}\n`;
}

/** cac can only print; the text is already in hand when it does. */
function withoutPrinting(action: () => void): void {
  const original = console.info;
  console.info = () => undefined;
  try {
    action();
  } finally {
    console.info = original;
  }
}

function overview(): string {
  return render(undefined, (sections) => [
    { body: 'Run a command on a spare machine as if it were local.' },
    ...pick(sections, 'Usage'),
    { title: 'In a project', body: indent(renderCommands(clientCommands())).trimEnd() },
    { title: 'On the spare machine', body: indent(renderCommands(hostCommands())).trimEnd() },
    { title: 'About rmtx', body: indent(renderCommands(otherSubjects())).trimEnd() },
    {
      body: '`rmtx COMMAND --help` explains a command. See also `rmtx help exit-codes` and `rmtx help environment`.',
    },
  ]);
}

function commandHelp(command: CommandSpec): string {
  return render(command, (sections) => [
    { body: `${command.summary}.` },
    ...pick(sections, 'Usage'),
    ...(command.details === undefined ? [] : [{ body: command.details.join('\n') }]),
    ...pick(sections, 'Options').map(({ body }) => ({ title: 'Flags', body: tidyOptions(body) })),
    ...pick(sections, 'Examples'),
  ]);
}

function groupHelp(name: string, members: readonly CommandSpec[]): string {
  const alone = commandGroups[name]?.alone;
  const note = alone === undefined ? '' : `\n\`rmtx ${name}\` alone is \`rmtx ${alone}\`.\n`;
  return `Usage:\n  $ rmtx ${name} COMMAND [flags]\n\nCommands:\n${indent(renderCommands(members))}${note}`;
}

function otherCommands(members: readonly CommandSpec[]): string {
  return members.length === 0 ? '' : `\nMore commands:\n${indent(renderCommands(members))}`;
}

function usageOf(command: CommandSpec): string {
  return [command.name, '[flags]', command.operands].filter((part) => part !== '').join(' ');
}

function flagLabel(flag: FlagSpec): string {
  const long = flag.value === undefined ? `--${flag.name}` : `--${flag.name} <${flag.value}>`;
  return flag.short === undefined ? `    ${long}` : `-${flag.short}, ${long}`;
}

function pick(sections: readonly Section[], title: string): Section[] {
  return sections.filter((section) => section.title === title);
}

/** cac gives every `--no-…` flag a default of true, and lists its own `--help` beside ours. */
function tidyOptions(body: string): string {
  const lines = body.split('\n').map((line) => line.replace(/ \(default: true\)$/, '').trimEnd());
  return lines.filter((line) => !line.includes('Display this message')).join('\n');
}

function clientCommands(): CommandSpec[] {
  return commandTable.filter((command) => !isHostCommand(command) && !isOther(command));
}

function hostCommands(): CommandSpec[] {
  return commandTable.filter(isHostCommand);
}

function otherSubjects(): CommandSpec[] {
  return commandTable.filter(isOther);
}

function isHostCommand(command: CommandSpec): boolean {
  return command.module.startsWith('host') && command.module !== 'hosts';
}

function isOther(command: CommandSpec): boolean {
  return command.module === 'help' || command.module === 'version';
}

function renderCommands(commands: readonly CommandSpec[]): string {
  return renderList(commands.map((command) => [`rmtx ${command.name}`, command.summary]));
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}
