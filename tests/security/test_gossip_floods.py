"""What a listed peer can make a node hold: measured in a process of its own, while it comes and after it has gone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.security.attack import address_of, counted, envelope, full, intruder, victim
from tests.security.raw import Raw, Target, gossiping, raw, target
from tests.security.rpc import (
    ED25519_PEER,
    GOSSIP,
    NEWER_GOSSIP,
    Message,
    graft,
    idontwant,
    ihave,
    iwant,
    parts,
    prune,
    published,
    rpc,
)
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from depinmesh import Database
    from tests.program import Line

MIB = 1 << 20
GROWTH = 16 * MIB
"""Bytes that a flood may cost while its sender is connected."""
LEFT = MIB // 2
"""Bytes in use that may remain of it when the sender has gone: so much comes and goes by itself."""
KEPT = 6 * MIB
"""Bytes that the allocator may keep for later by then: pages of which a part is in use."""
MANY = 100_000
RETRANSMISSIONS = 3
FEW_SECONDS = 10
REMEMBERED = 5_000
"""Messages of a topic that gossip keeps at most."""
KEPT_FOR = 3.9
"""Seconds, at least, for which gossip keeps a message otherwise."""
TRIES = 5
TOPIC = "rooms"

pytestmark = pytest.mark.timeout(180)


@dataclass
class Flood:
    """A listed raw peer on a node in a process of its own, and what that node held before."""

    peer: Raw
    node: Target
    link: int
    stream: int
    before: Line
    protocol: str = GOSSIP

    @property
    def topic(self) -> str:
        return f"{self.node.database}_{TOPIC}"

    async def is_heard(self, word: str = "good") -> None:
        """Check that what was written before has been read: a good event arrives after it."""
        data = envelope(self.peer.key.peer_id, word)
        n = len(self.node.said("got", author=self.peer.key.peer_id, message=word)) + 1
        assert await self.peer.write(self.stream, rpc(publish=[Message(self.peer.key, self.topic, data)]), within=60)
        await self.node.wait("got", author=self.peer.key.peer_id, message=word, n=n, within=60)

    async def subscribes(self, count: int, at_once: int, length: int = 0) -> None:
        """Subscribe to so many topics of the database, and wait until that has been read."""
        for some in batches(count, at_once):
            topics = (f"{self.node.database}_{str(number).rjust(length)}" for number in some)
            assert await self.peer.write(self.stream, rpc(subscribe=topics), within=60)
        await self.is_heard(f"after {count}")

    async def growth(self, meter: str = "rss") -> int:
        """Return how many bytes more the node holds now."""
        return int((await self.node.report())[meter] - self.before[meter])

    async def costs_little(self, limit: int = GROWTH) -> None:
        """Check what the node holds, a few seconds later at most: what is on its way is not held."""
        await self._shrinks_to(limit, "held")

    async def hangs_up(self) -> None:
        self.peer.tell("hang-up", link=self.link)
        await self.peer.wait("ended", link=self.link)

    async def leaves_nothing(self) -> None:
        """Hang up, and check that what the flood cost is given back."""
        await self.hangs_up()
        await self._shrinks_to(KEPT, "kept by the allocator")
        if self.before["allocated"] is not None:
            await self._shrinks_to(LEFT, "left", "allocated")

    async def comes_again(self) -> None:
        """Take the measure anew: queues that have grown keep their size, and a second time costs no more."""
        self.link, self.stream = await gossiping(self.peer, self.node.at("tcp"), self.topic)
        if self.protocol != GOSSIP:
            self.stream = await self.peer.open(self.link, self.protocol)
        await self.is_heard("again")
        self.before = await self.node.report()

    async def _shrinks_to(self, limit: int, what: str, meter: str = "rss") -> None:
        grown, until = await self.growth(meter), monotonic() + FEW_SECONDS
        while grown > limit:
            assert monotonic() < until, f"{grown:,} bytes are {what}"
            grown = await self.growth(meter)
        print(f"{what}: {grown:,} bytes")


@asynccontextmanager
async def flood(protocol: str = GOSSIP) -> AsyncIterator[Flood]:
    bystander = Keypair.generate()
    async with (
        raw() as peer,
        target(peer.key.wallet, bystander.wallet) as node,
        intruder("--transport", "tcp", key=bystander) as (guest, _),
    ):
        await guest.dial(node.at("tcp"), hold_ms=0)
        await guest.wait("identified")
        link, stream = await gossiping(peer, node.at("tcp"), f"{node.database}_{TOPIC}")
        if protocol != GOSSIP:
            stream = await peer.open(link, protocol)
        flood = Flood(peer, node, link, stream, await node.report(), protocol)
        # What a first event costs is there before the measure is taken.
        await flood.is_heard("before")
        flood.before = await node.report()
        yield flood
        assert guest.said("closed") == []
        assert (await node.report())["state"] == "running"


def batches(count: int, size: int = 20_000) -> Iterator[range]:
    return (range(at, min(at + size, count)) for at in range(0, count, size))


numbers = pytest.mark.parametrize("count", [MANY, pytest.param(1_000_000, marks=pytest.mark.slow)])


@numbers
async def test_r5_w7_grafts_of_topics_never_heard_of_cost_nothing(count: int) -> None:
    async with flood() as f:
        for numbers in batches(count):
            control = b"".join(graft(f"novel topic {number}") for number in numbers)
            assert await f.peer.write(f.stream, rpc(control=control), within=60)
        await f.is_heard()
        await f.costs_little()
        await f.leaves_nothing()


@numbers
async def test_r5_prunes_of_topics_never_heard_of_cost_nothing(count: int) -> None:
    async with flood() as f:
        for numbers in batches(count):
            control = b"".join(prune(f"novel topic {number}", 2**40) for number in numbers)
            assert await f.peer.write(f.stream, rpc(control=control), within=60)
        await f.is_heard()
        await f.costs_little()
        await f.leaves_nothing()


async def test_r5_w7_subscriptions_beyond_measure_are_not_taken() -> None:
    """One frame of 4 MB with 349,525 topics took 89 MB of another library, and did not give them back."""
    async with flood() as f:
        f.peer.write_only(f.stream, rpc(subscribe=map(str, range(349_525))))
        await f.peer.wait("read-end", stream=f.stream)
        f.stream = await f.peer.open(f.link)
        await f.subscribes(120_000, 30_000)
        await f.costs_little()
        await f.hangs_up()
        await f.comes_again()
        await f.subscribes(120_000, 30_000)
        await f.leaves_nothing()


@pytest.mark.parametrize(("length", "limit"), [(0, GROWTH), (512, 2 * GROWTH)], ids=["short", "longest"])
async def test_r5_as_many_subscriptions_as_a_peer_may_have_are_given_back(length: int, limit: int) -> None:
    at_once = 1_500 if length else 5_000
    async with flood() as f:
        await f.subscribes(20_000, at_once, length)
        await f.costs_little(limit)
        await f.hangs_up()
        await f.comes_again()
        await f.subscribes(20_000, at_once, length)
        await f.leaves_nothing()


async def test_r5_names_that_are_longer_than_any_topic_are_left_out() -> None:
    """A hundred names of a megabyte took 200 MB, and a peer may subscribe to 20,000."""
    async with flood() as f:
        assert await f.peer.write(f.stream, rpc(unsubscribe=[f.topic]))
        await f.is_heard("unsubscribed")
        assert (await f.node.report())["heard"] == []
        for number in range(100):
            name = f"{f.node.database}_{number}".ljust(1_000_000, "x")
            assert await f.peer.write(f.stream, rpc(subscribe=[name, f.topic]), within=60)
        await f.is_heard()
        # The control: what came with them was taken.
        assert (await f.node.report())["heard"] == [f.peer.key.peer_id]
        await f.costs_little()
        await f.leaves_nothing()


CONTROLS: dict[str, tuple[Callable[..., bytes], str]] = {
    "ihave": (ihave, GOSSIP),
    "iwant": (iwant, GOSSIP),
    "idontwant": (idontwant, NEWER_GOSSIP),
}


@numbers
@pytest.mark.parametrize("control", CONTROLS)
async def test_r5_ids_of_messages_that_there_are_not_cost_nothing(control: str, count: int) -> None:
    async with flood(CONTROLS[control][1]) as f:

        async def speak() -> None:
            for numbers in batches(count):
                ids = (number.to_bytes(46, "big") for number in numbers)
                part = ihave(f.topic, ids) if control == "ihave" else CONTROLS[control][0](ids)
                assert await f.peer.write(f.stream, rpc(control=part), within=60)
            await f.is_heard()
            await f.costs_little()

        await speak()
        await f.hangs_up()
        await f.comes_again()
        await speak()
        await f.leaves_nothing()


async def test_r5_a_message_that_is_asked_for_again_and_again_is_sent_a_few_times() -> None:
    """So that a short question is not answered at length for ever."""
    async with flood() as f:
        assert await f.peer.write(f.stream, rpc(control=graft(f.topic)))
        f.node.tell("publish", times=1, size=2_000)
        frame = await large(f.peer, 1)
        (message,) = published(bytes.fromhex(frame["hex"]))
        fields = dict(parts(message))
        author, number = fields[1], fields[3]
        assert isinstance(author, bytes)
        assert isinstance(number, bytes)
        for _ in range(100):
            assert await f.peer.write(f.stream, rpc(control=iwant([author + number])))
        await f.is_heard()
        await large(f.peer, 2)
        await f.is_heard("later")
        assert 2 <= len([line for line in f.peer.said("frame") if line["bytes"] > 2_000]) <= 1 + RETRANSMISSIONS


async def test_r10_messages_on_topics_that_nobody_takes_are_not_kept() -> None:
    async with flood() as f:
        data, topics = bytes(1_000_000), [f"{f.node.database}_untaken", "of another database"]
        forged = Message(f.peer.key, f.topic, "forged", signature=bytes(64))
        for number in range(200):
            message = Message(f.peer.key, topics[number % 2], data)
            assert await f.peer.write(f.stream, rpc(publish=[message, forged]), within=60)
        # What is kept is forgotten after five seconds, so that it is not waited for here.
        assert await f.growth() < GROWTH
        # The control: what comes after them is delivered.
        await f.is_heard()
        metrics = (await f.node.report())["metrics"]
        dropped = {name: n for name, n in metrics.items() if name.startswith("dropped_total:") and n}
        assert dropped == {"dropped_total:not-subscribed": 200, "dropped_total:signature": 200}
        await f.leaves_nothing()


async def test_r10_a_flood_takes_the_place_of_its_own_topic_alone() -> None:
    """Of what gossip keeps for peers that missed it."""
    async with raw() as peer, victim(peer.key.wallet) as db, db.subscribe("calm"), db.subscribe("flooded"):
        _, stream = await gossiping(peer, address_of(db.node, "tcp"), full(db, "calm"), full(db, "flooded"))
        for _ in range(TRIES):
            given, seconds = await flooded(peer, stream, db)
            if seconds < KEPT_FOR:
                assert given == ["calm", "young"]
                return
        pytest.fail("this machine takes longer for it than gossip keeps a message")


async def flooded(peer: Raw, stream: int, db: Database) -> tuple[list[str], float]:
    """Send one calm message and a flood, ask for three of them; return what was given, and after how many seconds."""
    topics = [full(db, "calm"), *[full(db, "flooded")] * (REMEMBERED + 100)]
    messages = [Message(peer.key, topic, envelope(peer.key.peer_id)) for topic in topics]
    all_of_them = counted(db.node, "accepted_total") + len(messages)
    frames = [rpc(publish=messages[some.start : some.stop]) for some in batches(len(messages), 2_000)]
    began = monotonic()
    for frame in frames:
        assert await peer.write(stream, frame)
    await eventually(lambda: counted(db.node, "accepted_total") == all_of_them)
    wanted = {messages[0]: "calm", messages[50]: "old", messages[-50]: "young"}
    names = {one.sequence: name for one, name in wanted.items()}
    ids = [ED25519_PEER + bytes(peer.key.wallet) + number for number in names]
    assert await peer.write(stream, rpc(control=iwant(ids)))

    def given() -> list[str]:
        frames = (bytes.fromhex(line["hex"]) for line in peer.said("frame"))
        numbers = (dict(parts(message))[3] for frame in frames for message in published(frame))
        return [names[number] for number in numbers if isinstance(number, bytes) and number in names]

    # They come in the order in which they were asked for.
    await eventually(lambda: "young" in given())
    return given(), monotonic() - began


async def large(peer: Raw, n: int) -> Line:
    """Wait for the n-th frame that carries the long message."""

    def frames() -> list[Line]:
        return [line for line in peer.said("frame") if line["bytes"] > 2_000]

    await peer.wait_for(lambda: len(frames()) >= n)
    return frames()[n - 1]


@pytest.mark.parametrize("transport", ["tcp-noise", "quic"])
async def test_r10_a_peer_that_never_reads_is_put_out_and_what_waited_for_it_with_it(transport: str) -> None:
    bystander = Keypair.generate()
    async with (
        raw(transport) as peer,
        target(peer.key.wallet, bystander.wallet) as node,
        intruder("--transport", "tcp", key=bystander) as (guest, _),
    ):
        topic = f"{node.database}_{TOPIC}"
        await guest.ask("subscribe", "subscribed", topic=topic)
        await guest.dial(node.at("tcp"), hold_ms=0)
        await guest.wait("identified")
        link = await peer.connect(node.at(transport.partition("-")[0]), deaf=True)
        assert await peer.write(await peer.open(link), rpc(subscribe=[topic], control=graft(topic)))
        before = await node.report()
        while len(before["heard"]) < 2:
            before = await node.report()
        node.tell("publish", times=2_000, size=65_000)
        await node.wait("published", within=90)
        full = await node.report()
        # It answers pings all the while; that it does not read is enough.
        ended = await peer.wait("ended", link=link, within=60)
        after = await node.report()
        while after["rss"] - before["rss"] > KEPT * 2:  # gossip itself keeps five seconds of history
            after = await node.report()
        print({name: seen["rss"] - before["rss"] for name, seen in (("full", full), ("after", after))}, ended)
        # The control: who reads stays, and has had what there was room for.
        assert guest.said("closed") == []
        assert after["wallets"] == [bystander.wallet]
        # Nor is one put out that is merely sent nothing.
        again = await peer.connect(node.at(transport.partition("-")[0]), deaf=True)
        assert await peer.write(await peer.open(again), rpc(subscribe=[topic]))
        began = after["metrics"]["uptime_seconds"]
        while (await node.report())["metrics"]["uptime_seconds"] < began + 8:
            pass
        assert peer.said("ended", link=again) == []
