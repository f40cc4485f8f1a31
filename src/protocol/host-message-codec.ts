/** Host → client messages, to and from JSON. The order and the meaning are in messages.ts. */
import type { Problem, ProblemCode } from '../sync/entry.js';
import { MAX_HARDWARE_ADDRESSES, isHardwareAddress } from '../util/hardware-address.js';
import { badMessage, messageFields } from './bad-message.js';
import type { Fields } from '../util/fields.js';
import { parseForwardChannel, parseManifestId } from './client-message-codec.js';
import {
  FORWARD_FAILURES,
  MAX_AHEAD_FILES,
  MAX_PROBLEMS,
  MAX_PULLED_PATHS,
  MAX_ROUNDS,
  MAX_WAITING_NAMED,
  PROTOCOL,
  RUN_ID_PATTERN,
  RUN_STATES,
} from './messages.js';
import type { CommandOutcome, HostMessage, IgnoredLeftovers } from './messages.js';
import { encodeWireError, parseWireError } from './wire-error.js';

/** Throws ERR_RMTX_BAD_MESSAGE for anything that is not a well-formed message of a host. */
export function parseHostMessage(value: unknown): HostMessage {
  const type = messageFields(value, 'message').string('type', 64);
  const fields = messageFields(value, type);
  switch (type) {
    case 'welcome':
      return {
        type,
        protocol: fields.integer('protocol', PROTOCOL.min, PROTOCOL.max),
        version: fields.string('version', 64),
        name: fields.string('name', 200),
        nowUs: fields.integer('now_us', 0),
        hardwareAddresses: parseHardwareAddresses(fields),
      };
    case 'refused':
    case 'error':
      return { type, error: parseWireError(value) };
    case 'run_opened':
      return {
        type,
        workspace: fields.string('workspace'),
        slot: fields.integer('slot', 0, 10_000),
        isCold: fields.boolean('is_cold'),
        base: fields.has('base') ? parseManifestId(fields, 'base') : null,
        takesEntriesAhead: fields.has('takes_entries_ahead')
          ? fields.boolean('takes_entries_ahead')
          : false,
        waiting: parseRunIds(fields),
      };
    case 'run_attached':
      return {
        type,
        state: fields.oneOf('state', RUN_STATES),
        command: fields.strings('command', 100_000),
        stdoutOffset: fields.integer('stdout_offset', 0),
        stderrOffset: fields.integer('stderr_offset', 0),
        stdinOffset: fields.integer('stdin_offset', 0),
        takesStdin: fields.boolean('takes_stdin'),
        hasTerminal: fields.boolean('has_terminal'),
        wantsSyncBack: fields.boolean('wants_sync_back'),
        slot: fields.optionalInteger('slot', 0, 10_000),
      };
    case 'ahead_sampled':
      return { type, isWanted: fields.boolean('is_wanted') };
    case 'ahead_wanted':
      return { type, indexes: fields.integers('indexes', MAX_AHEAD_FILES, 0) };
    case 'blobs_wanted':
      return {
        type,
        round: fields.integer('round', 0, MAX_ROUNDS - 1),
        files: fields.integer('files', 0),
        bytes: fields.integer('bytes', 0),
      };
    case 'exited':
      return {
        type,
        outcome: parseOutcome(fields.object('outcome')),
        durationMs: fields.integer('duration_ms', 0),
        sweptProcesses: fields.integer('swept_processes', 0),
        isOutputCut: fields.boolean('is_output_cut'),
      };
    case 'change_set':
      return {
        type,
        manifestId: parseManifestId(fields, 'manifest_id'),
        changes: fields.integer('changes', 0),
        bytes: fields.integer('bytes', 0),
        ignored: fields.has('ignored') ? parseIgnored(fields.object('ignored')) : undefined,
        problems: fields.objects('problems', MAX_PROBLEMS).map(parseProblem),
      };
    case 'pulled':
      return {
        type,
        changes: fields.integer('changes', 0),
        bytes: fields.integer('bytes', 0),
        missing: fields.strings('missing', MAX_PULLED_PATHS, 8192),
        problems: fields.objects('problems', MAX_PROBLEMS).map(parseProblem),
      };
    case 'forward_broken':
      return {
        type,
        channel: parseForwardChannel(fields),
        failure: fields.oneOf('failure', FORWARD_FAILURES),
      };
    case 'forward_over':
      return { type, channel: parseForwardChannel(fields) };
    case 'notice':
      return { type, code: fields.string('code', 64), message: fields.string('message', 1024) };
    case 'started':
    case 'acknowledged':
      return { type };
    default:
      throw badMessage(`unknown message ${JSON.stringify(type)}`);
  }
}

/** `hardware_addresses` of a greeting or a ping; a host that does not tell them has none. */
export function parseHardwareAddresses(fields: Fields): string[] {
  if (!fields.has('hardware_addresses')) return [];
  const addresses = fields.strings('hardware_addresses', MAX_HARDWARE_ADDRESSES, 17);
  if (addresses.every(isHardwareAddress)) return addresses;
  throw badMessage('a hardware address of the wrong form');
}

function parseRunIds(fields: Fields): string[] {
  const ids = fields.strings('waiting', MAX_WAITING_NAMED, 64);
  if (ids.every((id) => RUN_ID_PATTERN.test(id))) return ids;
  throw badMessage('a run id of the wrong form');
}

function parseIgnored(fields: Fields): IgnoredLeftovers {
  return {
    count: fields.integer('count', 0),
    bytes: fields.integer('bytes', 0),
    largestFolder: fields.string('largest_folder'),
  };
}

const PROBLEM_CODES: readonly ProblemCode[] = [
  'unreadable',
  'special-file',
  'outside-root',
  'vanished',
  'name-collision',
  'refused',
  'write-failed',
];

/** A problem's path is only ever shown, never used as a path. */
function parseProblem(fields: Fields): Problem {
  return {
    path: fields.string('path', 8192) as Problem['path'],
    code: fields.oneOf('code', PROBLEM_CODES),
    message: fields.string('message', 1024),
  };
}

function parseOutcome(fields: Fields): CommandOutcome {
  const kind = fields.oneOf('kind', [
    'exited',
    'signalled',
    'timed-out',
    'not-found',
    'not-executable',
  ]);
  switch (kind) {
    case 'exited':
      return { kind, code: fields.integer('code', 0, 255) };
    case 'signalled':
      return {
        kind,
        exitSignal: fields.matching('exit_signal', /^SIG[A-Z0-9]{1,12}$/),
        number: fields.integer('number', 1, 127),
      };
    case 'timed-out':
      return { kind };
    case 'not-found':
      return { kind, searched: fields.string('searched', 65_536) };
    case 'not-executable':
      return { kind, reason: fields.string('reason', 1024) };
  }
}

function encodeOutcome(outcome: CommandOutcome): object {
  return outcome.kind === 'signalled'
    ? { kind: outcome.kind, exit_signal: outcome.exitSignal, number: outcome.number }
    : outcome;
}

export function encodeHostMessage(message: HostMessage): object {
  switch (message.type) {
    case 'welcome':
      return {
        type: message.type,
        protocol: message.protocol,
        version: message.version,
        name: message.name,
        now_us: message.nowUs,
        hardware_addresses: message.hardwareAddresses,
      };
    case 'refused':
    case 'error':
      return { type: message.type, ...encodeWireError(message.error) };
    case 'run_opened':
      return {
        type: message.type,
        workspace: message.workspace,
        slot: message.slot,
        is_cold: message.isCold,
        base: message.base,
        takes_entries_ahead: message.takesEntriesAhead,
        waiting: message.waiting,
      };
    case 'run_attached':
      return {
        type: message.type,
        state: message.state,
        command: message.command,
        stdout_offset: message.stdoutOffset,
        stderr_offset: message.stderrOffset,
        stdin_offset: message.stdinOffset,
        takes_stdin: message.takesStdin,
        has_terminal: message.hasTerminal,
        wants_sync_back: message.wantsSyncBack,
        slot: message.slot,
      };
    case 'exited':
      return {
        type: message.type,
        outcome: encodeOutcome(message.outcome),
        duration_ms: message.durationMs,
        swept_processes: message.sweptProcesses,
        is_output_cut: message.isOutputCut,
      };
    case 'change_set':
      return {
        type: message.type,
        manifest_id: message.manifestId,
        changes: message.changes,
        bytes: message.bytes,
        ignored: message.ignored && {
          count: message.ignored.count,
          bytes: message.ignored.bytes,
          largest_folder: message.ignored.largestFolder,
        },
        problems: message.problems,
      };
    case 'ahead_sampled':
      return { type: message.type, is_wanted: message.isWanted };
    case 'ahead_wanted':
    case 'blobs_wanted':
    case 'pulled':
    case 'forward_broken':
    case 'forward_over':
    case 'notice':
    case 'started':
    case 'acknowledged':
      return message;
  }
}
