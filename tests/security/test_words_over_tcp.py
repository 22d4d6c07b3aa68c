"""Words over TCP that are no handshake: they end their own connection, in three seconds at most, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import random
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import NodeState
from tests.security.attack import address_of, counted, intruder, victim
from tests.security.rpc import framed
from tests.support import eventually, state_of

if TYPE_CHECKING:
    from collections import Counter

    from depinmesh import Node

LIMIT = 3.0
"""Seconds that a connection has to show an identity."""
SLACK = 3
AT_ONCE = 250
HEADER = framed(b"/multistream/1.0.0\n")
NOISE = framed(b"/noise\n")

WORDS = {
    "nothing at all": b"",
    "zeros": bytes(10_000),
    "ones": b"\xff" * 10_000,
    "a length that never ends": b"\xff" * 20,
    "a length of nothing": b"\x00",
    "a long length": b"\xff\xff\x03",
    "a web page": b"GET / HTTP/1.1\r\nHost: depinmesh\r\n\r\n",
    "tls at once": bytes.fromhex("1603010200010001fc0303") + bytes(512),
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "the header alone": HEADER,
    "the header many times": HEADER * 1_000,
    "another header": framed(b"/multistream/9.9.9\n"),
    "no end of line": framed(b"/multistream/1.0.0"),
    "a name that is no text": HEADER + framed(b"/\xff\xfe\n"),
    "a name without a slash": HEADER + framed(b"noise\n"),
    "a protocol that there is not": HEADER + framed(b"/plaintext/2.0.0\n"),
    "ten thousand of them": HEADER + framed(b"/plaintext/2.0.0\n") * 10_000,
    "what is offered": HEADER + framed(b"ls\n"),
    "noise, then nothing": HEADER + NOISE,
    "noise, then a message of nothing": HEADER + NOISE + b"\x00\x00",
    "noise, then 64 KiB of zeros": HEADER + NOISE + b"\xff\xff" + bytes(65_535),
    "noise twice": HEADER + NOISE + HEADER + NOISE,
    "tls, then no tls": HEADER + framed(b"/tls/1.0.0\n") + bytes(1_000),
    "yamux without security": HEADER + framed(b"/yamux/1.0.0\n") + bytes(12),
}


def place(node: Node) -> tuple[str, int]:
    _, _, host, _, port, *_ = address_of(node, "tcp").split("/")
    return host, int(port)


async def say(node: Node, words: bytes, *, pace: float = 0, end: bool = False) -> float:
    """Connect and say this; return after how many seconds, from the dial on, the node had ended it."""
    began = monotonic()  # before the node begins to count: a busy test hears late that it was accepted
    reader, writer = await asyncio.open_connection(*place(node))

    async def talk() -> None:
        for at in range(0, len(words), 1 if pace else len(words)):
            writer.write(words[at : at + 1] if pace else words)
            await writer.drain()
            await asyncio.sleep(pace)
        if end:
            writer.write_eof()

    talking = asyncio.create_task(talk())
    with contextlib.suppress(OSError):
        async with asyncio.timeout(LIMIT * SLACK):
            while await reader.read(65_536):
                pass
    took = monotonic() - began
    talking.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await talking
    writer.close()
    return took


@pytest.mark.timeout(120)
async def test_w1_words_that_are_no_multistream_end_their_connection_alone(malformed: Counter[str]) -> None:
    async with intruder() as (guest, key), victim(key.wallet) as db:
        await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
        await eventually(lambda: len(db.peers()) == 1)
        whole = HEADER + NOISE + b"\x00\x20" + bytes(32)
        cut = [whole[:at] for at in range(1, len(whole))]
        ended = await asyncio.gather(
            *(say(db.node, words) for words in [*WORDS.values(), *cut] if words),
            *(say(db.node, words, end=True) for words in cut),
        )
        print(f"{len(ended)} connections, the last ended after {max(ended):.2f} s")
        malformed["words"] += len(ended)
        assert max(ended) < LIMIT * SLACK
        assert guest.said("closed") == []
        assert (state_of(db.node), counted(db.node, "connections_total")) == (NodeState.RUNNING, 1)
        await db.node.hang_up(key.wallet)
        await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
        await guest.wait("identified", n=2)


@pytest.mark.parametrize("times", [500, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
async def test_w1_words_with_bytes_changed_at_random_end_their_connection_alone(
    times: int, malformed: Counter[str]
) -> None:
    start = random.randrange(2**32)
    print("random start value", start)
    chance = random.Random(start)
    whole = HEADER + NOISE + b"\x00\x20" + bytes(range(32))
    async with intruder() as (guest, key), victim(key.wallet) as db:
        await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
        await eventually(lambda: len(db.peers()) == 1)
        for _ in range(0, times, AT_ONCE):
            batch = []
            for _ in range(AT_ONCE):
                words = bytearray(whole)
                for _ in range(chance.randint(1, 6)):
                    words[chance.randrange(len(words))] = chance.randrange(256)
                batch.append(say(db.node, bytes(words), end=True))
            assert max(await asyncio.gather(*batch)) < LIMIT * SLACK
            malformed["words"] += len(batch)
        assert guest.said("closed") == []
        assert (state_of(db.node), counted(db.node, "connections_total")) == (NodeState.RUNNING, 1)


async def test_r2_a_byte_a_second_is_as_good_as_silence() -> None:
    async with intruder() as (guest, key), victim(key.wallet) as db:
        slow = [say(db.node, HEADER + NOISE + bytes(34), pace=1.0) for _ in range(100)]
        ending = asyncio.gather(*slow)
        await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
        await eventually(lambda: len(db.peers()) == 1)  # who is quick gets in meanwhile
        ended = await ending
        assert min(ended) > LIMIT * 0.9
        assert max(ended) < LIMIT * SLACK
        assert guest.said("closed") == []
