"""The play itself: who does what, in which order."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from depinmesh import _core
from depinmesh.bootstrap import BootstrapNode
from depinmesh.cli.demo.child import Child, DemoError
from depinmesh.cli.demo.result import NODES, Result, Scene, Seen
from depinmesh.identity import Keypair

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = "presence"
EACH = 50
_WITHOUT_QUIC = "cyd"
_ATTEMPTS = 5
"""One at each address: two nodes with two, one with one."""
_PATIENCE = 10.0


class Stage:
    """Plays the demonstration with four processes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._keys = {name: Keypair.generate() for name in (*NODES, "stranger")}
        self._names = {str(key.wallet): name for name, key in self._keys.items()}
        self._nodes: dict[str, Child] = {}
        self._entries: list[str] = []
        self._listens: dict[str, str] = {}

    async def play(self) -> Result:
        """Play, and return what was seen. `DemoError`: it could not be played to its end."""
        began = time.time()
        wallets = {name: str(key.wallet) for name, key in self._keys.items()}
        result = Result(wallets=wallets, each=EACH, profile=_core.versions()["profile"], started_at=began)
        async with AsyncExitStack() as stack:
            self._say("starting three nodes, each in a process of its own")
            children = [Child(name, "depinmesh.cli.demo.node") for name in NODES]
            for child in children:
                self._nodes[child.name] = await stack.enter_async_context(child)
            await self._connect()
            result.listens = self._listens
            stranger = await stack.enter_async_context(Child("stranger", "depinmesh.cli.demo.stranger"))
            stranger.tell(key=self._keys["stranger"].to_base58(), topic=TOPIC)

            self._say(f"each node sends {EACH} events to the two others")
            await self._published()
            result.alone = Scene(seen=await self._counted(1))

            self._say("a stranger knocks, and the nodes go on talking")
            result.unlisted = await self._visit(stranger, 2, listed=False)

            self._say("the control: the stranger's wallet is listed, and it comes again")
            await self._list_everybody()
            result.listed = await self._visit(stranger, 3, listed=True)

            self._say("ending the processes")
            everybody = [*self._nodes.values(), stranger]
            codes = await asyncio.gather(*(child.ended() for child in everybody))
            result.codes = dict(zip((child.name for child in everybody), codes, strict=True))
        result.took = time.time() - began
        return result

    async def _connect(self) -> None:
        """Tell each node who it is and whom it can ask; it publishes as soon as the two others have subscribed."""
        listed = [str(self._keys[name].wallet) for name in NODES]
        for name, node in self._nodes.items():
            node.tell(
                key=self._keys[name].to_base58(),
                wallets=listed,
                known=self._entries,
                quic=name != _WITHOUT_QUIC,
                topic=TOPIC,
            )
            node.tell(do="publish", count=EACH, peers=len(NODES) - 1)
            entries = (await node.hear("listening"))["entries"]
            nodes = [BootstrapNode.parse(entry) for entry in entries]
            ports = {"QUIC": any(at.quic_port for at in nodes), "TCP": any(at.tcp_port for at in nodes)}
            self._listens[name] = ", ".join(transport for transport, is_open in ports.items() if is_open)
            self._entries += entries

    async def _list_everybody(self) -> None:
        for node in self._nodes.values():
            node.tell(do="wallets", wallets=list(self._names))
        for node in self._nodes.values():
            await node.hear("refreshed")

    async def _visit(self, stranger: Child, rounds: int, *, listed: bool) -> Scene:
        """Let the stranger knock, the nodes talk while it is there, and the stranger leave."""
        events, ends = (len(NODES) * EACH, 0) if listed else (0, _ATTEMPTS)
        stranger.tell(nodes=self._entries, seconds=_PATIENCE, events=events, ends=ends)
        await stranger.hear("knocked")
        for node in self._nodes.values():
            node.tell(do="publish", count=EACH, peers=len(NODES) if listed else len(NODES) - 1)
        # Listed, it has to be heard; not listed, it must not be, and there is nothing that one could wait for.
        await self._published()
        await self._counted(rounds, strange=1 if listed else 0, refusals=1)
        stranger.tell(do="leave")
        visit = await stranger.hear("visited")
        visit.pop("report")
        return Scene(seen=await self._counted(rounds), **visit)

    async def _published(self) -> None:
        for node in self._nodes.values():
            await node.hear("published")

    async def _counted(self, rounds: int, *, strange: int = 0, refusals: int = 0) -> dict[str, Seen]:
        """Ask for what was seen when each node has what the others sent in so many rounds, and this of the stranger."""
        expected = dict.fromkeys(NODES, rounds * EACH) | {"stranger": strange}
        for name, node in self._nodes.items():
            at_least = {str(self._keys[who].wallet): count for who, count in expected.items() if who != name}
            node.tell(do="count", at_least=at_least, refusals=refusals)
        seen: dict[str, Seen] = {}
        for name, node in self._nodes.items():
            seen[name] = self._seen(await node.hear("counted"))
        return seen

    def _seen(self, report: dict[str, Any]) -> Seen:
        stranger = str(self._keys["stranger"].wallet)
        refused: dict[str, int] = {}
        for key, count in report["refused"].items():
            wallet, reason = key.split(" ")
            if wallet != stranger:
                raise DemoError(f"the node {self._names.get(wallet, wallet)} was refused: {reason}")
            refused[reason] = count
        return Seen(
            sent=report["sent"],
            received={self._names[wallet]: count for wallet, count in report["received"].items()},
            refused=refused,
            let_in=report["let_in"].get(stranger),
            links={self._names[wallet]: transport for wallet, transport in report["links"].items()},
            first=report["first"],
        )
