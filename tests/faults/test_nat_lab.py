"""What the routers of the lab do, so that what the other tests say of them is true."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.nat_lab import KINDS, Kind, Router, nat_lab
from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.lab import Host

PROBE = Path(__file__).with_name("probe.py")
PORT = 4001


class Scene:
    """A host behind a router, and two public ones."""

    def __init__(self, router: Router, inside: Program, one: Program, two: Program, hosts: tuple[Host, Host]) -> None:
        self.router, self.inside, self.one, self.two = router, inside, one, two
        self.public = {one: hosts[0].address, two: hosts[1].address}

    async def seen_by(self, public: Program, text: str) -> int:
        """Let the host behind the router send to a public one; return the port that it is seen at."""
        await self.inside.ask("send", "sent", text=text, host=self.public[public], port=PORT)
        heard = await public.wait("heard", text=text, within=5)
        assert heard["host"] == self.router.address
        port: int = heard["port"]
        return port


@asynccontextmanager
async def scene(kind: Kind) -> AsyncIterator[Scene]:
    async with nat_lab() as net, AsyncExitStack() as stack:
        router = await net.router(kind)
        hosts = [await net.host(router), await net.host(), await net.host()]
        probes = []
        for host in hosts:
            program = Program.run(*host.command("python3", PROBE, host.address, PORT))
            probes.append(await stack.enter_async_context(program))
            await probes[-1].wait("started")
        inside, one, two = probes
        yield Scene(router, inside, one, two, (hosts[1], hosts[2]))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_router_maps_and_filters_as_its_kind_says(kind: Kind) -> None:
    async with scene(kind) as at:
        address = at.router.address
        await at.two.ask("send", "sent", text="unasked", host=address, port=PORT)
        ports = [await at.seen_by(at.one, "to one")]
        await at.two.ask("send", "sent", text="from another", host=address, port=ports[0])
        await at.one.ask("send", "sent", text="answer", host=address, port=ports[0])
        await at.inside.wait("heard", text="answer", within=5)
        assert bool(at.inside.said("heard", text="from another")) == (kind == "open")
        assert at.inside.said("heard", text="unasked") == []

        ports.append(await at.seen_by(at.two, "to two"))
        assert (ports == [PORT, PORT]) == (kind != "symmetric")
        assert (ports[0] == ports[1]) == (kind != "symmetric")


async def test_a_router_forgets_what_was_open() -> None:
    async with scene("open") as at:
        await at.seen_by(at.one, "first")
        await at.two.ask("send", "sent", text="before", host=at.router.address, port=PORT)
        await at.inside.wait("heard", text="before", within=5)
        await at.router.forget()
        await at.two.ask("send", "sent", text="after", host=at.router.address, port=PORT)
        await at.seen_by(at.one, "second")
        await at.two.ask("send", "sent", text="again", host=at.router.address, port=PORT)
        await at.inside.wait("heard", text="again", within=5)
        assert at.inside.said("heard", text="after") == []


async def test_a_router_that_blocks_udp_lets_none_pass() -> None:
    async with scene("port-restricted") as at:
        await at.seen_by(at.one, "before")
        await at.router.block_udp()
        await at.inside.ask("send", "sent", text="blocked", host=at.public[at.one], port=PORT)
        with pytest.raises(AssertionError, match="no 'heard'"):
            await at.one.wait("heard", text="blocked", within=1)


async def test_hosts_behind_one_router_reach_each_other_directly() -> None:
    async with nat_lab() as net, AsyncExitStack() as stack:
        router = await net.router("symmetric")
        probes = []
        hosts = [await net.host(router), await net.host(router)]
        for host in hosts:
            program = Program.run(*host.command("python3", PROBE, host.address, PORT))
            probes.append(await stack.enter_async_context(program))
            await probes[-1].wait("started")
        await probes[0].ask("send", "sent", text="hello", host=hosts[1].address, port=PORT)
        assert (await probes[1].wait("heard", within=5))["host"] == hosts[0].address
