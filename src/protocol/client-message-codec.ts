/** Client → host messages, to and from JSON. The order and the meaning are in messages.ts. */
import { LARGE_BLOB_BYTES } from '../store/chunk-list.js';
import { isDigest } from '../store/digest.js';
import type { ManifestId } from '../sync/entry.js';
import { LONGEST_WAIT_MS } from '../util/units.js';
import { badMessage, messageFields } from './bad-message.js';
import type { Fields } from '../util/fields.js';
import {
  ATTACH_MODES,
  CHANNEL,
  CONTEXT_KEY_PATTERN,
  FORWARDED_SIGNALS,
  MANIFEST_ID_PATTERN,
  MAX_AHEAD_FILES,
  MAX_SAMPLE,
  MAX_FORWARDED,
  MAX_PULLED_PATHS,
  MAX_RUN_LABEL_LENGTH,
  MAX_ROUNDS,
  RUN_ID_PATTERN,
} from './messages.js';
import type { ClientMessage, TerminalSize } from './messages.js';

/** Throws ERR_RMTX_BAD_MESSAGE for anything that is not a well-formed message of a client. */
export function parseClientMessage(value: unknown): ClientMessage {
  const type = messageFields(value, 'message').string('type', 64);
  const fields = messageFields(value, type);
  switch (type) {
    case 'hello':
      return {
        type,
        protocolMin: fields.integer('protocol_min', 0, 1000),
        protocolMax: fields.integer('protocol_max', 0, 1000),
        version: fields.string('version', 64),
      };
    case 'run_open':
      return {
        type,
        runId: fields.matching('run_id', RUN_ID_PATTERN),
        contextKey: fields.matching('context_key', CONTEXT_KEY_PATTERN),
        contextName: fields.string('context_name', 200),
        label: fields.string('label', MAX_RUN_LABEL_LENGTH),
        offersEntriesAhead: fields.has('offers_entries_ahead')
          ? fields.boolean('offers_entries_ahead')
          : false,
      };
    case 'ahead_sample':
      return { type, digests: fields.checkedList('digests', isDigest, MAX_SAMPLE) };
    case 'ahead':
      return { type, sizes: fields.integers('sizes', MAX_AHEAD_FILES, LARGE_BLOB_BYTES) };
    case 'manifest':
      return {
        type,
        round: fields.integer('round', 0, MAX_ROUNDS - 1),
        base: fields.has('base') ? parseManifestId(fields, 'base') : null,
        manifestId: parseManifestId(fields, 'manifest_id'),
        hasRules: fields.boolean('has_rules'),
      };
    case 'start':
      return {
        type,
        command: fields.strings('command', 100_000),
        cwd: fields.string('cwd'),
        env: fields.stringMap('env', 10_000),
        hasStdin: fields.boolean('has_stdin'),
        timeoutMs: fields.optionalInteger('timeout_ms', 1, LONGEST_WAIT_MS),
        wantsSyncBack: fields.boolean('wants_sync_back'),
        clockOffsetUs: fields.integer('clock_offset_us', -Number.MAX_SAFE_INTEGER),
        terminal: fields.has('terminal') ? parseTerminal(fields.object('terminal')) : undefined,
        isDetached: fields.boolean('is_detached'),
        disconnectGraceMs: fields.optionalInteger('disconnect_grace_ms', 0, LONGEST_WAIT_MS),
      };
    case 'run_attach':
      return {
        type,
        runId: fields.matching('run_id', RUN_ID_PATTERN),
        mode: fields.oneOf('mode', ATTACH_MODES),
        stdoutOffset: fields.integer('stdout_offset', 0),
        stderrOffset: fields.integer('stderr_offset', 0),
        tail: fields.boolean('tail'),
      };
    case 'pull':
      return {
        type,
        runId: fields.has('run_id') ? fields.matching('run_id', RUN_ID_PATTERN) : undefined,
        contextKey: fields.matching('context_key', CONTEXT_KEY_PATTERN),
        paths: fields.strings('paths', MAX_PULLED_PATHS, 8192),
      };
    case 'signal':
      return { type, name: fields.oneOf('name', FORWARDED_SIGNALS) };
    case 'resize':
      return { type, ...parseSize(fields) };
    case 'forward_open':
      return {
        type,
        channel: parseForwardChannel(fields),
        port: fields.integer('port', 1, 65_535),
      };
    case 'forward_broken':
      return { type, channel: parseForwardChannel(fields) };
    case 'stop':
      return { type, isForced: fields.boolean('is_forced') };
    case 'applied':
    case 'discard':
      return { type };
    default:
      throw badMessage(`unknown message ${JSON.stringify(type)}`);
  }
}

function parseTerminal(fields: Fields): TerminalSize & { term: string } {
  // Only a name of terminfo: it becomes an environment variable.
  return { ...parseSize(fields), term: fields.matching('term', /^[\w.+-]{1,64}$/) };
}

function parseSize(fields: Fields): TerminalSize {
  return { columns: fields.integer('columns', 1, 10_000), rows: fields.integer('rows', 1, 10_000) };
}

export function encodeClientMessage(message: ClientMessage): object {
  switch (message.type) {
    case 'hello':
      return {
        type: message.type,
        protocol_min: message.protocolMin,
        protocol_max: message.protocolMax,
        version: message.version,
      };
    case 'run_open':
      return {
        type: message.type,
        run_id: message.runId,
        context_key: message.contextKey,
        context_name: message.contextName,
        label: message.label,
        offers_entries_ahead: message.offersEntriesAhead,
      };
    case 'manifest':
      return {
        type: message.type,
        round: message.round,
        base: message.base,
        manifest_id: message.manifestId,
        has_rules: message.hasRules,
      };
    case 'start':
      return {
        type: message.type,
        command: message.command,
        cwd: message.cwd,
        env: Object.fromEntries(message.env),
        has_stdin: message.hasStdin,
        timeout_ms: message.timeoutMs,
        wants_sync_back: message.wantsSyncBack,
        clock_offset_us: message.clockOffsetUs,
        terminal: message.terminal,
        is_detached: message.isDetached,
        disconnect_grace_ms: message.disconnectGraceMs,
      };
    case 'run_attach':
      return {
        type: message.type,
        run_id: message.runId,
        mode: message.mode,
        stdout_offset: message.stdoutOffset,
        stderr_offset: message.stderrOffset,
        tail: message.tail,
      };
    case 'pull':
      return {
        type: message.type,
        run_id: message.runId,
        context_key: message.contextKey,
        paths: message.paths,
      };
    case 'ahead_sample':
    case 'ahead':
    case 'signal':
    case 'resize':
    case 'forward_open':
    case 'forward_broken':
      return message;
    case 'stop':
      return { type: message.type, is_forced: message.isForced };
    case 'applied':
    case 'discard':
      return { type: message.type };
  }
}

export function parseForwardChannel(fields: Fields): number {
  const { firstForwarded } = CHANNEL;
  return fields.integer('channel', firstForwarded, firstForwarded + MAX_FORWARDED - 1);
}

export function parseManifestId(fields: Fields, name: string): ManifestId {
  return fields.matching(name, MANIFEST_ID_PATTERN) as ManifestId;
}
