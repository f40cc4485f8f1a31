/** Flags and words that several commands share. */
import type { FlagSpec } from './command-table.js';

export const help: FlagSpec = { name: 'help', short: 'h', summary: 'Show this help' };
export const verbose: FlagSpec = {
  name: 'verbose',
  short: 'v',
  summary: 'Say more: steps, times, causes',
};
export const quiet: FlagSpec = { name: 'quiet', short: 'q', summary: 'Say nothing but errors' };
export const json: FlagSpec = { name: 'json', summary: 'Print JSON, errors included' };
export const common = [verbose, quiet, json, help];

export const host: FlagSpec = {
  name: 'host',
  value: 'HOST',
  summary: 'The host: ADDR[:PORT], the name of a paired one, or auto (also RMTX_HOST)',
};
export const config: FlagSpec = {
  name: 'config',
  value: 'FILE',
  summary: 'Use this config file instead of looking for .rmtx.json upward',
};
export const discoveryTimeout: FlagSpec = {
  name: 'discovery-timeout',
  value: 'TIME',
  kind: 'duration',
  summary: 'Look so long for a host that has moved (default 750ms; 0s: not at all)',
};
export const target = [host, config, discoveryTimeout];
export const forward: FlagSpec = {
  name: 'forward',
  short: 'L',
  value: '[LOCAL:]PORT',
  isList: true,
  summary: "Reach the run's PORT on 127.0.0.1 here, as LOCAL; repeatable",
};
export const stateDir: FlagSpec = {
  name: 'state-dir',
  value: 'DIR',
  summary: 'Where the host keeps its state (also RMTX_STATE_DIR)',
};
/** How a host serves, whoever starts it. */
export const serving: readonly FlagSpec[] = [
  {
    name: 'listen',
    value: 'ADDR',
    summary: 'Where to listen (default :33221 on IPv4 and IPv6; port 0 picks one)',
  },
  stateDir,
  { name: 'name', value: 'NAME', summary: "What clients see (default: this machine's name)" },
  { name: 'service', value: 'NAME', summary: 'The service name to announce (default rmtx)' },
  { name: 'no-discovery', summary: 'Announce nothing on the network' },
  { name: 'no-keep-awake', summary: 'Let this machine sleep while a run is active' },
];
export const pairing: readonly FlagSpec[] = [
  {
    name: 'host',
    value: 'ADDR',
    summary: 'Where the host is: ADDR[:PORT], the port is 33221 if left out',
  },
  { name: 'fingerprint', value: 'F', summary: 'Pair only with the host that has this fingerprint' },
  {
    name: 'code',
    value: 'CODE',
    summary: 'The code that `rmtx host pair-code` prints there; - reads it from stdin',
  },
  {
    name: 'label',
    value: 'LABEL',
    summary: 'What the host calls this client (default USER@MACHINE)',
  },
  {
    name: 'select',
    value: 'N',
    summary: 'Of several hosts that are found, take the one with this number',
  },
  {
    name: 'service',
    value: 'NAME',
    summary: 'Look for hosts of this service (default rmtx, or the config’s)',
  },
  {
    name: 'discovery-timeout',
    value: 'TIME',
    kind: 'duration',
    summary: 'Look for so long where no host answers (default 13.5s)',
  },
  config,
];

export const runOperand =
  'RUN is an id of `rmtx runs`, the beginning of one, or last: the newest of this project.';

/** Of a command that takes nothing but flags. */
export const noOperands = { operands: '', minOperands: 0, maxOperands: 0 } as const;
