"""Make up neighbours: mDNS answers that nobody has asked for, each with other addresses. Argument: our own address."""

from __future__ import annotations

import socket
import struct
import sys
import time

from depinmesh import Keypair

GROUP = "224.0.0.251", 5353
MANY = 12_000
OF_A_PACKET = 20
PAUSE = 0.01
"""Seconds after a packet: of those that come at once most find no room."""
FOR_EVER = 2**32 - 1
PTR, TXT, IN = 12, 16, 1


def name(*labels: str) -> bytes:
    """Return a name as DNS writes it."""
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    """Return a record that is valid for ever."""
    return owner + struct.pack("!HHIH", kind, IN, FOR_EVER, len(data)) + data


def main() -> None:
    """Send them all."""
    address = sys.argv[1]
    service, peer = name("_p2p", "_udp", "local"), name("made-up", "_p2p", "_udp", "local")
    peer_id = Keypair.generate().peer_id
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        for first in range(1, MANY, OF_A_PACKET):
            ports = range(first, first + OF_A_PACKET)
            texts = [f"dnsaddr=/ip4/{address}/tcp/{port}/p2p/{peer_id}".encode() for port in ports]
            data = b"".join(bytes([len(text)]) + text for text in texts)
            head = struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 1)
            time.sleep(PAUSE)
            sender.sendto(head + record(service, PTR, peer) + record(peer, TXT, data), GROUP)


main()
