"""Whether the ports of a configuration can be listened on, found out by doing it."""

import errno
import socket
from typing import NamedTuple

from depinmesh.options import Listen


class PortFault(NamedTuple):
    """A port that cannot be listened on."""

    host: str
    port: int
    protocol: str
    """`udp` or `tcp`."""
    error: int
    """The number of the system's error."""
    reason: str

    @property
    def is_taken(self) -> bool:
        """Whether another process has it."""
        return self.error == errno.EADDRINUSE


def port_faults(listen: Listen) -> list[PortFault]:
    """Try every host and port; a machine without IPv6 is no fault of `::`."""
    faults = []
    for host in listen.hosts:
        for protocol, port in (("udp", listen.quic_port), ("tcp", listen.tcp_port)):
            if port and (fault := _try(host, port, protocol)) is not None:
                faults.append(fault)
    return faults


def _try(host: str, port: int, protocol: str) -> PortFault | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(family, kind) as one:
            if protocol == "tcp":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is only fading away is free
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((host, port))
            if protocol == "tcp":
                one.listen(1)
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL) and host == "::":
            return None
        return PortFault(host, port, protocol, error.errno or 0, error.strerror or str(error))
    return None
