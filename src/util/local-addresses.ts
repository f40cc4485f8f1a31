import os from 'node:os';

/**
 * The addresses under which other machines may reach this one, IPv4 first. Loopback and link-local IPv6
 * (which needs a zone that only this machine knows) are left out.
 */
export function localAddresses(): string[] {
  const all = Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => !address.internal && !/^fe[89ab]/i.test(address.address));
  const ofFamily = (family: string): string[] =>
    all.filter((address) => address.family === family).map((address) => address.address);
  return [...ofFamily('IPv4'), ...ofFamily('IPv6')];
}
