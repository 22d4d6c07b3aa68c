"""What moves the metrics of a node that its ordinary life leaves alone: each returns the scrapes that it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from depinmesh import DialError, Keypair, MessageDropped, connect
from depinmesh.catalogue import PREFIX
from depinmesh.metrics import MetricsCollector
from depinmesh.testing import MockRegistry
from tests.integration.relays import circuits, relayed_pair
from tests.security.attack import address_of, attacker, counted, intruder, victim
from tests.support import WAIT, alone, eventually, fields_of, heard, mesh_of, open_sockets, soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from depinmesh import Node

LIBRARY = f"{PREFIX}libp2p_"
RECEIVER = Path(__file__).parent / "scripts" / "receiver.py"

Values: TypeAlias = dict[str, float]


def scrape(node: Node) -> Values:
    """Return what Prometheus reads of the node: the sums over labels, and of histograms the counts."""
    registry = CollectorRegistry()
    registry.register(MetricsCollector(node))
    values: Values = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        if family.name.startswith(LIBRARY):
            continue
        for sample in family.samples:
            name = sample.name.removesuffix("_count") if family.type == "histogram" else sample.name
            if not name.endswith(("_bucket", "_sum", "_created")):
                name = name.removeprefix(PREFIX)
                values[name] = values.get(name, 0) + sample.value
    return values


async def three_nodes_of_which_two_find_each_other() -> Values:
    keys = [Keypair.generate() for _ in range(3)]
    wallets = [key.wallet for key in keys]
    names = ("discovered_total", "table_peers", "provider_records")
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(connect(**fields_of(keys[0], wallets)))
        known = first.node.bootstrap_entries()
        found = []
        for key in keys[1:]:
            db = await stack.enter_async_context(connect(**fields_of(key, wallets, bootstrap_nodes=known)))
            found.append(db.node)

        def finder() -> Node | None:  # whichever of the two was first
            return next((node for node in found if all(scrape(node)[name] for name in names)), None)

        await eventually(finder)
        node = finder()
        assert node is not None
        return scrape(node)


async def a_peer_of_another_make_that_dials_as_it_is_dialled() -> Values:
    """It does not say that it is of ours, so that both connections are closed to be made anew."""
    async with intruder("--listen", "/ip4/127.0.0.1/tcp/0") as (guest, key), victim(key.wallet) as db:
        (address,) = guest.said("started")[0]["addresses"]
        async with asyncio.timeout(WAIT):
            while not counted(db.node, "second_connections_total"):  # else one was first
                await db.node.hang_up(key.peer_id)
                both = (guest.dial(address_of(db.node, "quic"), hold_ms=0), db.node.dial(address))
                await asyncio.gather(*both, return_exceptions=True)
        await eventually(lambda: counted(db.node, "resets_total"))
        return scrape(db.node)


async def packets_that_nobody_can_read() -> Values:
    """Each begins a QUIC handshake, encrypted with no key at all."""

    def initial() -> bytes:
        head = bytes([0xC3, 0, 0, 0, 1, 8, *os.urandom(8), 0, 0])
        size = 1_198 - len(head)
        return head + (0x4000 | size).to_bytes(2, "big") + os.urandom(size)

    async with connect(**alone()) as db:
        port = int(address_of(db.node, "quic").split("/")[4])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

            def sent_and_counted() -> bool:
                sender.sendto(initial(), ("127.0.0.1", port))
                return counted(db.node, "listener_errors_total") > 0

            await eventually(sent_and_counted)
        return scrape(db.node)


async def a_subscriber_that_is_stopped() -> Values:
    """One of two: with nobody else to send to, publishing would wait for it. What it does not get is told as well."""
    seed = os.urandom(32)
    keys = [Keypair.generate(), Keypair.generate(), Keypair.from_seed(seed)]
    wallets = [key.wallet for key in keys]
    async with connect(**fields_of(keys[0], wallets)) as db:
        drops = db.node.events(MessageDropped)
        known = db.node.bootstrap_entries()
        given = {"seed": seed.hex(), "wallets": wallets, "entries": known, "quic_port": None, "tcp_port": 0}
        command = (sys.executable, str(RECEIVER), json.dumps(given))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            async with connect(**fields_of(keys[1], wallets, bootstrap_nodes=known)) as other, other.subscribe("t"):
                await db.wait_for_peers("t", 2, WAIT)
                process.send_signal(signal.SIGSTOP)
                for _ in range(200):  # they fill the buffers of the connection
                    await db.publish("t", "x" * 60_000)
                async with asyncio.timeout(WAIT):
                    while not counted(db.node, "unsent_total"):  # and these the queue before it
                        for number in range(500):
                            await db.publish("t", number)
        finally:
            process.kill()
            await process.wait()
        told = await soon(anext(drops))
        assert (told.topic, told.author, told.reason) == ("", None, "peer-too-slow")
        assert 0 < told.count <= counted(db.node, "unsent_total")
        return scrape(db.node)


async def a_loop_that_is_blocked() -> Values:
    """It takes no node events: two lists in turn are more than the 4,096 that may wait."""
    async with connect(**alone()) as db:
        session = db.node._session
        assert session is not None
        lists = ([db.node.wallet], [db.node.wallet, Keypair.generate().wallet])
        until = time.monotonic() + 2 * WAIT
        number = 0
        while not counted(db.node, "node_events_lost_total"):
            assert time.monotonic() < until
            for _ in range(200):
                session.core.set_wallets(1, list(lists[number % 2]), 0.0)
                number += 1
                time.sleep(0.0001)  # noqa: ASYNC251  # this is what blocks
        return scrape(db.node)


def room_for_descriptors(needed: int) -> None:
    """Let the process open as many; most shells begin with 1,024."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("missing: /proc, in which the sockets of the process are counted")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"missing: {needed:,} descriptors, of which the process may have {hard:,} (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def a_crowd_of_strangers_that_one_read_refuses() -> Values:
    """More than the 1,024 whose reports may wait for the network task, which is kept busy by commands just then."""
    crowd, at_once = 1_600, 300  # with many more at once not all would be through with their handshakes in time
    room_for_descriptors(crowd + 900)
    registry = MockRegistry()
    limits = {"max_per_ip": 2 * crowd, "max_pending_per_ip": 2 * crowd}
    gate = {"timeout": 60.0, "min_interval": 0.1}
    async with (
        contextlib.AsyncExitStack() as stack,
        victim(authorized_wallets=registry, gate=gate, connections=limits) as db,
    ):
        registry.add(db.node.wallet)
        await db.node.gate.refresh()
        registry.hang()
        flood = ("flood", "--address", address_of(db.node, "tcp"), "--count", at_once, "--concurrency", at_once)
        while (before := len(open_sockets())) < crowd:
            await stack.enter_async_context(attacker(*flood, "--security", "noise", "--hold-ms", 60_000))
            with contextlib.suppress(AssertionError):  # some were too slow
                await eventually(lambda: len(open_sockets()) >= before + at_once, 3)
        registry.recover()
        async with asyncio.timeout(WAIT):
            while not counted(db.node, "refusals_unreported_total"):
                for _ in range(1_000):
                    db.node.retry_bootstrap()
                await asyncio.sleep(0)
        return scrape(db.node)


async def bursts_that_leave_as_batches() -> Values:
    async with (
        mesh_of(2, pubsub={"batching": True}) as (one, two),
        one.subscribe("t"),
        two.subscribe("t"),
    ):
        await heard(one, two, "t")
        await heard(two, one, "t")
        for number in range(500):
            one.publish_nowait("t", number)
            two.publish_nowait("t", number)
        names = ("published_batches_total", "received_batches_total")
        await eventually(lambda: all(counted(one.node, name) for name in names))
        return scrape(one.node)


async def a_logger_that_is_slow() -> Values:
    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.01)

    logger = logging.Logger("depinmesh", logging.DEBUG)  # noqa: LOG001  # not among those of the process
    logger.addHandler(Slow())
    async with mesh_of(2, logger=logger) as (one, two), two.subscribe("t"):
        await heard(one, two, "t")
        async with asyncio.timeout(WAIT):
            while not counted(one.node, "log_records_dropped_total"):
                for number in range(500):
                    await one.publish("t", number)
        logger.handlers.clear()  # what waits would take it a minute
        return scrape(one.node)


async def two_that_meet_through_a_relay() -> Values:
    """What each of the three sees, together: no node is a relay and relayed."""
    away = Keypair.generate()
    async with relayed_pair(away.wallet) as (relay, one, two):
        through = circuits(one.node)[0].partition("/p2p-circuit")[0]
        with contextlib.suppress(DialError):  # it has no reservation
            await two.node.dial(f"{through}/p2p-circuit/p2p/{away.peer_id}")
        await eventually(lambda: scrape(relay.node)["relay_denied_total"])
        await eventually(lambda: scrape(relay.node)["relay_circuits"])
        values = scrape(one.node) | {name: value for name, value in scrape(relay.node).items() if value}
        await relay.close()
        await eventually(lambda: scrape(one.node)["reservations_lost_total"])
        return values | {"reservations_lost_total": scrape(one.node)["reservations_lost_total"]}


async def two_that_come_to_a_direct_connection() -> Values:
    async with relayed_pair(nat={"hole_punching": True}) as (_, one, two):
        await eventually(lambda: scrape(one.node)["hole_punches_total"] + scrape(two.node)["hole_punches_total"])
        return max(scrape(one.node), scrape(two.node), key=lambda values: values["hole_punches_total"])


ELSEWHERE: dict[str, Callable[[], Awaitable[Values]]] = {
    "circuits_total": two_that_meet_through_a_relay,
    "discovered_total": three_nodes_of_which_two_find_each_other,
    "hole_punches_total": two_that_come_to_a_direct_connection,
    "listener_errors_total": packets_that_nobody_can_read,
    "log_records_dropped_total": a_logger_that_is_slow,
    "node_events_lost_total": a_loop_that_is_blocked,
    "provider_records": three_nodes_of_which_two_find_each_other,
    "published_batches_total": bursts_that_leave_as_batches,
    "received_batches_total": bursts_that_leave_as_batches,
    "refusals_unreported_total": a_crowd_of_strangers_that_one_read_refuses,
    "relay_circuits": two_that_meet_through_a_relay,
    "relay_denied_total": two_that_meet_through_a_relay,
    "relay_reservations": two_that_meet_through_a_relay,
    "relayed_peers": two_that_meet_through_a_relay,
    "relays": two_that_meet_through_a_relay,
    "reservations_lost_total": two_that_meet_through_a_relay,
    "resets_total": a_peer_of_another_make_that_dials_as_it_is_dialled,
    "second_connections_total": a_peer_of_another_make_that_dials_as_it_is_dialled,
    "table_peers": three_nodes_of_which_two_find_each_other,
    "unsent_total": a_subscriber_that_is_stopped,
}
"""What moves each metric that does not move in the life of a node that `test_metrics.py` leads."""

BEHIND_ROUTERS = {"mapped_addresses", "public_addresses", "reachability_asked_total", "reachability_served_total"}
"""What nothing on loopback moves: tests/faults/test_port_mapping.py and test_reachability.py do."""

TOO_MANY = {"event_ids_forgotten_total"}
"""What only half a million events move: the core's own tests do."""
