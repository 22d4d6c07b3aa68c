"""The metrics of real nodes: each is in the catalogue, each of the catalogue appears, and moves when it should."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from depinmesh import BackpressureError, Keypair, Node, RegistryError, connect
from depinmesh.catalogue import BY_NAME, CATALOGUE
from depinmesh.logs import Adapter
from depinmesh.metrics import MetricsCollector
from depinmesh.testing import MockRegistry
from tests.integration.causes import BEHIND_ROUTERS, ELSEWHERE, LIBRARY, TOO_MANY, Values, scrape
from tests.support import WAIT, alone, eventually, fields_of, free_ports, heard, mesh_of, soon

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from depinmesh import Database, Event


class Broken(Adapter):
    """A logger whose disk is full."""

    def emit(self, entry: object) -> None:
        raise OSError("the disk is full")


def test_the_catalogue_is_consistent() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    for info in CATALOGUE:
        assert info.name.endswith("_total") == (info.kind == "counter")
        assert info.kind != "histogram" or info.name.endswith("_seconds")
        assert info.help
        assert not info.help.endswith(".")


async def test_what_libp2p_counts_comes_under_the_same_prefix() -> None:
    async with mesh_of(2) as (one, _):
        registry = CollectorRegistry()
        registry.register(MetricsCollector(one.node))

        def look() -> dict[str, float]:
            families = text_string_to_metric_families(generate_latest(registry).decode())
            of_library = [family for family in families if family.name.startswith(LIBRARY)]
            return {sample.name: sample.value for family in of_library for sample in family.samples}

        await eventually(lambda: look().get(f"{LIBRARY}ping_rtt_seconds_count", 0) > 0)
        assert look()[f"{LIBRARY}swarm_connections_established_total"] == 1
        assert any(name.startswith(f"{LIBRARY}identify_") for name in look())
        # What is not counted would be 0 for ever.
        assert not [name for name in look() if name.startswith((f"{LIBRARY}gossipsub_", f"{LIBRARY}kad_"))]


async def test_a_node_that_was_not_started_can_be_scraped() -> None:
    node = Node(**alone())
    assert scrape(node)["uptime_seconds"] == 0
    assert "peers" not in scrape(node)


async def test_every_metric_appears_and_moves() -> None:
    ada, bob, eve = Keypair.generate(), Keypair.generate(), Keypair.generate()
    registry = MockRegistry([ada.wallet, bob.wallet, "no wallet"])
    best: dict[str, float] = {}

    def look() -> dict[str, float]:
        values = scrape(one.node)
        for name, value in values.items():
            best[name] = max(best.get(name, 0), value)
        return values

    async with AsyncExitStack() as stack:
        quic, tcp = free_ports()
        nobody = f"{bob.wallet}@127.0.0.1:{quic}:{tcp}"
        fields = fields_of(ada, [], authorized_wallets=registry, logger=Broken(None, 0), bootstrap_nodes=[nobody])
        one = await stack.enter_async_context(connect(**fields))
        before = look()
        assert set(before) - set(BY_NAME) == set()
        known = one.node.bootstrap_entries()
        second = connect(**fields_of(bob, [ada.wallet, bob.wallet], bootstrap_nodes=known))
        two = await stack.enter_async_context(second)
        await soon(one.wait_ready())
        await _receive_and_lose(stack, one, two)
        await _send(one, two, look)
        await _break_in(one, eve)
        registry.fail(OSError("the chain is away"))
        with pytest.raises(RegistryError):
            await soon(one.node.gate.refresh())
        await eventually(lambda: look()["ping_seconds"] > 0)
        look()
        await two.close()
        await eventually(lambda: look().get("disconnections_total", 0) > 0)
        one.node.retry_bootstrap()
        await eventually(lambda: look()["bootstrap_failures_total"] > 0)

        async with connect(**fields_of(bob, [ada.wallet, bob.wallet], bootstrap_nodes=known)) as again:
            await again.wait_ready(WAIT)
            assert scrape(again.node)["bootstrap_successes_total"] == 1
            best["bootstrap_successes_total"] = 1

        kinds = {(metric.name, metric.kind, tuple(metric.labels)) for metric in one.node.metrics()}
    unknown = kinds - {(info.name, info.kind, info.labels) for info in CATALOGUE}
    assert not unknown, "add them to depinmesh/catalogue.py, and run `make docs-tables`"
    assert set(BY_NAME) - set(best) == set(), "they are in the catalogue, and no node has them"
    still = {name for name, value in best.items() if not value}
    assert still <= set(ELSEWHERE) | BEHIND_ROUTERS | TOO_MANY, "move them here, or in causes.py"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("cause", dict.fromkeys(ELSEWHERE.values()), ids=lambda cause: cause.__name__)
async def test_what_moves_the_other_metrics(cause: Callable[[], Awaitable[Values]]) -> None:
    values = await cause()
    assert all(values[name] > 0 for name, moved_by in ELSEWHERE.items() if moved_by is cause)


async def _receive_and_lose(stack: AsyncExitStack, one: Database, two: Database) -> None:
    """Let one of two lose events of a full subscription, those of an author it does not list, and a handler's."""

    async def handler(event: Event) -> None:
        raise ValueError(event.message)

    await stack.enter_async_context(one.subscribe("full", queue_size=1))
    await one.subscribe("handled", handler)
    private = await stack.enter_async_context(one.node.database("private", authorized_wallets=[one.node.wallet]))
    await stack.enter_async_context(private.subscribe("t"))
    wallets = [one.node.wallet, two.node.wallet]
    other = await stack.enter_async_context(two.node.database("private", authorized_wallets=wallets))
    await heard(two, one, "full")
    await heard(two, one, "handled")
    for number in range(3):
        await two.publish("full", number)
        await two.publish("handled", number)
    await eventually(lambda: one.node.peer_id in other.topic_peers("t"))
    await other.publish("t", "from somebody who is not on the list")

    def lost() -> bool:
        values = scrape(one.node)
        names = ("queue_overflow_total", "handler_errors_total", "dropped_total")
        return all(values.get(name, 0) > 0 for name in names)

    await eventually(lost)


async def _send(one: Database, two: Database, look: Callable[[], dict[str, float]]) -> None:
    async with two.subscribe("answers") as answers:
        await one.publish("answers", 1, min_peers=1, timeout=WAIT)
        await answers.get(WAIT)
    await one.publish("to nobody", 1)
    async with asyncio.timeout(WAIT):
        while True:
            with suppress(BackpressureError):  # the queue is full, and stays so for long enough to be seen
                for _ in range(10_000):
                    one.publish_nowait("full", None)
            if look()["outbox_events"] > 0:
                break
            await asyncio.sleep(0)
    await eventually(lambda: scrape(one.node)["published_unheard_total"] > 0)


async def _break_in(one: Database, eve: Keypair) -> None:
    """Knock without being listed."""
    known = one.node.bootstrap_entries()
    async with connect(**fields_of(eve, [eve.wallet, one.node.wallet], bootstrap_nodes=known)):
        await eventually(lambda: scrape(one.node)["refused_total"] > 0)
