"""Six Go nodes and six of ours in one network while some of both are killed and come back: the others lose nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.interop.peers import GO, go_peer, now
from tests.program import Line, Program
from tests.support import eventually

if TYPE_CHECKING:
    from tests.interop.peers import Peer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NODE = Path(__file__).parents[1] / "faults" / "node.py"
TOPIC = "depin-network_t"
OF_EACH, MORTAL = 6, 2
"""How many there are of each kind, and how many of these are killed now and then."""
EVENTS_PER_SECOND = 20
KILL_EVERY = 3.0
PADDING = "x" * 1000


@dataclass
class GoMember:
    """A Go node, which dials everybody when it starts."""

    pins: str
    key: Keypair = field(default_factory=Keypair.generate)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, others: list[Member]) -> None:
        self.stack = AsyncExitStack()
        self.peer: Peer = await self.stack.enter_async_context(go_peer(self.pins, key=self.key))
        await self.peer.ask("subscribe", "subscribed", topic=TOPIC)
        for other in others:
            self.peer.tell("dial", addresses=[other.address])

    @property
    def address(self) -> str:
        return self.peer.address

    def publish(self, text: str) -> None:
        self.peer.tell("publish", topic=TOPIC, message=text)

    def heard(self) -> Counter[str]:
        return Counter(line["read"]["message"] for line in self.peer.messages(TOPIC))

    @property
    def name(self) -> str:
        return f"{self.pins} {self.key.peer_id[-4:]}"

    def dropped(self) -> str:
        """Say what its own queues had no room for."""
        return f"{len(self.peer.said('overflow'))} overflows, {len(self.peer.said('rpc-dropped'))} RPCs dropped"


@dataclass
class OurMember:
    """A node of ours in a process of its own."""

    wallets: list[str]
    key: Keypair = field(default_factory=Keypair.generate)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self, others: list[Member]) -> None:
        self.stack = AsyncExitStack()
        self.program = await self.stack.enter_async_context(Program.run(sys.executable, NODE))
        config: dict[str, Any] = {
            "key": self.key.to_base58(),
            "wallets": self.wallets,
            "nodes": [other.address for other in others],
            "hosts": ["127.0.0.1"],
            "quic": 0,
            "tcp": 0,
        }
        self.started: Line = await self.program.ask("start", "started", **config)

    @property
    def address(self) -> str:
        port = self.started["entries"][0].split(":")[-2]
        return f"/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{self.started['peer_id']}"

    def publish(self, text: str) -> None:
        self.program.tell("publish", number=text)

    def heard(self) -> Counter[str]:
        return Counter(line["number"] for line in self.program.said("heard"))

    @property
    def name(self) -> str:
        return f"ours {self.key.peer_id[-4:]}"


Member = GoMember | OurMember


async def test_those_that_stay_lose_nothing_while_others_die_and_return(*, long: bool) -> None:
    seconds, seed = (300.0 if long else 60.0), random.randrange(2**32)
    print(f"seed {seed}")
    luck = random.Random(seed)
    wallets: list[str] = []
    go = [GoMember(pins) for pins in itertools.islice(itertools.cycle(GO), OF_EACH)]
    ours = [OurMember(wallets) for _ in range(OF_EACH)]
    members: list[Member] = [*go, *ours]
    wallets += [member.key.wallet for member in members]
    mortal: list[Member] = [*go[-MORTAL:], *ours[-MORTAL:]]
    stay = [member for member in members if member not in mortal]
    async with AsyncExitStack() as stack:
        for number, member in enumerate(members):
            await member.start(members[:number])
            stack.push_async_callback(lambda member=member: member.stack.aclose())  # type: ignore[misc]
        await all_hear_all(stay)

        sent: dict[str, Member] = {}
        authors = itertools.cycle(stay)
        began, kills = now(), 0
        while (passed := now() - began) < seconds:
            if passed > (kills + 1) * KILL_EVERY:
                kills += 1
                victim = luck.choice(mortal)
                await victim.stack.aclose()  # kills it
                await victim.start([member for member in members if member is not victim])
            author = next(authors)
            text = f"{len(sent)} {PADDING}"
            author.publish(text)
            sent[text] = author
            await asyncio.sleep(max(0, began + len(sent) / EVENTS_PER_SECOND - now()))
        assert kills >= seconds / KILL_EVERY / 2
        print(f"{len(sent)} events, {kills} kills")
        with contextlib.suppress(AssertionError):
            await eventually(lambda: not any(amiss(member, sent) for member in stay))
        assert [amiss(member, sent) for member in stay] == [""] * len(stay)


def amiss(member: Member, sent: dict[str, Member]) -> str:
    """Say what a member did not hear exactly once of what the others sent, if anything."""
    heard = member.heard()
    wrong = Counter(
        (author.name, heard[text]) for text, author in sent.items() if author is not member and heard[text] != 1
    )
    times = ", ".join(f"{count} of {name} {often} times" for (name, often), count in wrong.items())
    dropped = f"; {member.dropped()}" if isinstance(member, GoMember) else ""
    return times and f"{member.name} heard {times}{dropped}"


async def all_hear_all(members: list[Member]) -> None:
    """Let all publish, round by round, until one round has reached everybody."""
    for attempt in range(30):
        texts = {f"round {attempt} of {number}": member for number, member in enumerate(members)}
        for text, member in texts.items():
            member.publish(text)
        await asyncio.sleep(1)
        if all(
            set(texts) - {text for text, author in texts.items() if author is member} <= set(member.heard())
            for member in members
        ):
            return
    raise AssertionError("the network has not come together")
