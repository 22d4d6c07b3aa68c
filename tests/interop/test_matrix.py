"""Each peer, over each transport, whoever dials and whoever publishes: 1,000 events each way, none lost, none doubled.

The verdicts and versions stand in docs/interop.md; a run that finds others fails until the page says so too.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.interop.exchange import inbox, to_peer, to_us
from tests.interop.peers import GO, TRANSPORTS, full, go_peer, join, met, now, ours, peer_of
from tests.interop.table import Row, our_versions, spelled

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from tests.interop.peers import Peer
    from tests.interop.table import Table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MANY = 1000
HANDSHAKES = 5

KINDS = [
    *((pins, transport) for pins in GO for transport in TRANSPORTS),
    ("js", "tcp-noise"),
    ("py", "tcp-noise"),
    ("ours", "quic"),
    ("ours", "tcp-noise"),
]
ROWS = [Row(peer, transport, who_dials) for peer, transport in KINDS for who_dials in ("we dial", "they dial")]


def start(row: Row, us: Keypair) -> AbstractAsyncContextManager[Peer]:
    """Start the peer of a row; one of ours lets nobody in without a list."""
    start = go_peer if row.peer in GO else peer_of
    gate = ("--gate", us.wallet) if row.peer == "ours" else ()
    return start(row.peer, *gate, transport=row.transport)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.peer}, {row.transport}, {row.who_dials}")
async def test_every_event_arrives_once_both_ways(row: Row, table: Table, request: pytest.FixtureRequest) -> None:
    times = [await handshake(row) for _ in range(HANDSHAKES)]
    us = Keypair.generate()
    async with start(row, us) as peer, ours(peer.key.wallet, key=us, transport=row.transport) as db, inbox(db) as box:
        versions = our_versions() if row.peer == "ours" else spelled(peer.versions)
        await peer.ask("subscribe", "subscribed", topic=full(db))
        await join(db, peer, row.who_dials)
        await met(db, peer)
        await to_peer(db, peer, MANY)
        await to_us(db, peer, box, MANY)
    verdict = f"{MANY:,} of {MANY:,}"
    if request.config.getoption("--write-table", False):
        table.versions |= {"ours": our_versions(), row.peer: versions}
        table.results[row] = (verdict, verdict, f"{median(times) * 1000:.1f} ms")
    assert table.versions[row.peer] == versions
    assert table.results[row][:2] == (verdict, verdict)


async def handshake(row: Row) -> float:
    """Return the seconds from a dial until both are identified, of a process that has just started."""
    us = Keypair.generate()
    async with start(row, us) as peer, ours(peer.key.wallet, key=us, transport=row.transport) as db:
        started = now()
        await join(db, peer, row.who_dials)
        return now() - started


def test_the_page_has_every_row_and_our_own_versions(table: Table) -> None:
    assert list(table.results) == ROWS
    assert table.versions["ours"] == our_versions()
