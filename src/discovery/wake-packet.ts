/**
 * Wake-on-LAN: the packet that a sleeping machine's network card looks for in whatever reaches it. Six bytes
 * of ones, then the card's address sixteen times (AMD, Magic Packet Technology, white paper 20213, 1995).
 *
 * 102 bytes of our own: the packages for it are not kept up any more, and send by one interface only.
 */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { systemErrorCode } from '../errors.js';
import { hardwareAddressBytes } from '../util/hardware-address.js';
import type { LanInterface } from './lan-interfaces.js';

/** The card reads no port. Those of "discard" and "echo" are the usual ones, so switches let them pass. */
const WAKE_PORTS = [9, 7];
const ALL_IPV4 = '255.255.255.255';
/** Every node of the link (RFC 4291 §2.7.1): where there is no IPv4. */
const ALL_IPV6 = 'ff02::1';

export function wakePacket(hardwareAddress: string): Buffer {
  const address = hardwareAddressBytes(hardwareAddress);
  const repeated = Array.from({ length: 16 }, () => address);
  return Buffer.concat([Buffer.alloc(6, 0xff), ...repeated]);
}

/**
 * Sends each card its packet by every interface but the loopback. Resolves with how many were sent, when the
 * system has taken them; never rejects: what one network does not carry another may.
 */
export async function sendWakePackets(
  hardwareAddresses: readonly string[],
  interfaces: readonly LanInterface[],
): Promise<number> {
  const packets = hardwareAddresses.map(wakePacket);
  const targets = interfaces.filter(({ isLoopback }) => !isLoopback).flatMap(targetsOf);
  const counts = await Promise.all(targets.map((target) => sendBy(target, packets)));
  return counts.reduce((sum, count) => sum + count, 0);
}

interface WakeTarget {
  readonly type: 'udp4' | 'udp6';
  /** An own address: whoever sends to everybody says by it on which network. */
  readonly from: string;
  readonly to: readonly string[];
}

function targetsOf({ ipv4, zone }: LanInterface): WakeTarget[] {
  const byIpv4 = ipv4.flatMap(({ address, broadcast }): WakeTarget[] =>
    broadcast === undefined ? [] : [{ type: 'udp4', from: address, to: [broadcast, ALL_IPV4] }],
  );
  if (zone === undefined) return byIpv4;
  return [...byIpv4, { type: 'udp6', from: '::', to: [`${ALL_IPV6}%${zone}`] }];
}

async function sendBy(
  { type, from, to }: WakeTarget,
  packets: readonly Uint8Array[],
): Promise<number> {
  const socket = createSocket(type);
  try {
    await bind(socket, from);
    if (type === 'udp4') socket.setBroadcast(true);
    const sends = to.flatMap((address) =>
      WAKE_PORTS.flatMap((port) =>
        packets.map((packet) => send(socket, packet, { address, port })),
      ),
    );
    return (await Promise.all(sends)).filter((isSent) => isSent).length;
  } catch (error) {
    // The interface has just gone, or a family is switched off.
    if (systemErrorCode(error) === undefined) throw error;
    return 0;
  } finally {
    socket.close();
  }
}

function bind(socket: Socket, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port: 0, address, exclusive: true }, () => {
      socket.off('error', reject);
      socket.on('error', () => undefined);
      resolve();
    });
  });
}

function send(
  socket: Socket,
  packet: Uint8Array,
  to: { readonly address: string; readonly port: number },
): Promise<boolean> {
  return new Promise((resolve) => {
    socket.send(packet, to.port, to.address, (error) => resolve(error === null));
  });
}
