"""miniupnpd on a router of the lab: what home routers run to map ports by UPnP."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.lab import run

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from tests.faults.nat_lab import Router

_CHAINS = """
table inet upnp {
  chain forwarded { }
  chain mapped { }
  chain masked { }
  chain forward { type filter hook forward priority filter; jump forwarded; }
  chain prerouting { type nat hook prerouting priority dstnat; jump mapped; }
  chain postrouting { type nat hook postrouting priority srcnat; jump masked; }
}
"""
_SETTINGS = """
ext_ifname=eth0
listening_ip=lan
enable_upnp=yes
enable_natpmp=no
secure_mode=yes
system_uptime=yes
uuid=6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b
upnp_table_name=upnp
upnp_nat_table_name=upnp
upnp_forward_chain=forwarded
upnp_nat_chain=mapped
upnp_nat_postrouting_chain=masked
allow 1024-65535 0.0.0.0/0 1024-65535
"""


class Gateway:
    """The daemon, and what it has mapped."""

    def __init__(self, router: Router, process: Process, log: Path) -> None:
        self.router, self._process, self._log = router, process, log

    async def mapped(self) -> dict[tuple[str, int], tuple[str, int]]:
        """Return protocol and outer port of each mapping, and the address and port that it leads to."""
        words = self.router.command("nft", "list", "chain", "inet", "upnp", "mapped")
        process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        text, _ = await process.communicate()
        # nft shows the number of the protocol, which the daemon compares without its name.
        rules = re.findall(r"0x(6|11) th dport (\d+) dnat ip to ([\d.]+):(\d+)", text.decode())
        names = {"6": "tcp", "11": "udp"}
        return {(names[number], int(outer)): (host, int(inner)) for number, outer, host, inner in rules}

    def asked(self) -> int:
        """Return how often it was asked to map a port."""
        return self._log.read_text().count("AddPortMapping: ")

    async def stop(self) -> None:
        """End it, as a router that is switched off."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def upnp(router: Router) -> AsyncIterator[Gateway]:
    """Run the daemon on a router for the block."""
    if shutil.which("miniupnpd") is None:
        pytest.skip("missing: the program miniupnpd, of the package of that name")
    await run(*router.command("nft", "-f", "-"), given=_CHAINS)
    with tempfile.TemporaryDirectory() as folder:
        settings, log = Path(folder, "miniupnpd.conf"), Path(folder, "log")
        settings.write_text(_SETTINGS)  # noqa: ASYNC240  # a few bytes
        words = router.command("miniupnpd", "-d", "-f", settings, "-P", Path(folder, "pid"))
        with log.open("wb") as file:  # noqa: ASYNC230
            process = await asyncio.create_subprocess_exec(*words, stdout=file, stderr=file)
        gateway = Gateway(router, process, log)
        try:
            yield gateway
        finally:
            if process.returncode is None:
                await gateway.stop()
