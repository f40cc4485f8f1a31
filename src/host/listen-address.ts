import { parseAddress } from '../transport/address.js';

/** `:PORT` without a host means every address, IPv4 and IPv6. Throws BAD_ARGUMENT for what is no address. */
export function listenAddress(where: string): { host: string | undefined; port: number } {
  const [, portText] = /^:(\d{1,5})$/.exec(where) ?? [];
  const port = Number(portText);
  return port <= 65_535 ? { host: undefined, port } : parseAddress(where);
}
