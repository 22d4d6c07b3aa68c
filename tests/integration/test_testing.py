"""`depinmesh.testing`, which tests of users stand on."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import depinmesh.testing
from depinmesh import (
    ConfigError,
    Connections,
    Keypair,
    Listen,
    MeshTimeoutError,
    NodeState,
    PeerRefused,
    RegistryError,
    connect,
)
from depinmesh.testing import MockRegistry, Stranger, Visit, network
from tests.support import alone, eventually, nothing_left, soon

if TYPE_CHECKING:
    from collections.abc import Iterable

    from depinmesh import Database

pytest_plugins = ["pytester"]


def entries_of(databases: Iterable[Database]) -> list[str]:
    return [entry for db in databases for entry in db.node.bootstrap_entries()]


async def test_a_network_is_connected_and_leaves_nothing() -> None:
    async with nothing_left(), network(4, database="rooms") as databases:
        for db in databases:
            assert db.name == "rooms"
            assert {peer.peer_id for peer in db.peers()} == {
                other.node.peer_id for other in databases if other is not db
            }
            assert all("/127.0.0.1/" in address for address in db.node.addresses)


async def test_the_first_bootstrap_round_of_a_network_finds_its_peers() -> None:
    """The gate has the list before the first dial: else a node would refuse its own, and try again later."""
    for _ in range(10):
        async with network(3) as databases:
            assert [db.node.status().bootstrap_attempts for db in databases] == [1, 1, 1]


@pytest.mark.parametrize(("quic", "tcp", "transport"), [(True, False, "quic"), (False, True, "tcp")])
async def test_a_network_can_have_one_transport(quic: bool, tcp: bool, transport: str) -> None:
    async with network(2, quic=quic, tcp=tcp) as databases:
        for db in databases:
            assert [peer.transport for peer in db.peers()] == [transport]


async def test_a_network_of_one_and_of_none() -> None:
    async with network(1) as (db,):
        assert db.peers() == []
    async with network(0) as databases:
        assert databases == []


async def test_a_network_keeps_its_defaults_beside_fields_that_are_given() -> None:
    async with network(2, listen={"tcp_port": None}, connections={"low": 7}) as databases:
        for db in databases:
            config = db.node._config
            assert (config.listen.hosts, config.listen.quic_port, config.listen.tcp_port) == (("127.0.0.1",), 0, None)
            assert (config.connections.low, config.connections.max_per_ip) == (7, 68)
            assert [peer.transport for peer in db.peers()] == ["quic"]
            assert all("/127.0.0.1/" in address for address in db.node.addresses)


async def test_a_group_that_is_given_to_a_network_replaces_its_defaults() -> None:
    listen = Listen(hosts=("127.0.0.1",), quic_port=None, tcp_port=0)
    async with network(2, listen=listen, connections=Connections(max_per_ip=9)) as databases:
        for db in databases:
            assert db.node._config.listen == listen
            assert db.node._config.connections == Connections(max_per_ip=9)
            assert [peer.transport for peer in db.peers()] == ["tcp"]


async def test_a_network_refuses_what_it_makes_itself() -> None:
    with pytest.raises(ValueError, match="authorized_wallets"):
        async with network(2, authorized_wallets=[]):
            pass
    with pytest.raises(ConfigError):
        async with network(2, database=""):
            pass


async def test_a_network_that_does_not_come_about_is_a_timeout_and_leaves_nothing() -> None:
    registry = MockRegistry()
    registry.hang()
    async with nothing_left():
        with pytest.raises(MeshTimeoutError):
            async with network(2, registry=registry, timeout=0.3):
                pass


async def hold(databases: list[Database]) -> None:
    """Run a network until this is cancelled; its nodes are appended to the list."""
    async with network(3) as nodes:
        databases += nodes
        await asyncio.Event().wait()


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
async def test_a_network_that_is_cancelled_twice_closes_its_nodes(turns: int) -> None:
    async with nothing_left():
        databases: list[Database] = []
        task = asyncio.create_task(hold(databases))
        await eventually(lambda: databases)
        for _ in range(2):
            task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        assert {db.node.state for db in databases} == {NodeState.CLOSED}


async def test_a_network_in_a_scope_of_anyio_closes_its_nodes() -> None:
    """Such a scope cancels again in every turn of the loop."""
    anyio = pytest.importorskip("anyio")
    async with nothing_left():
        databases: list[Database] = []
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold, databases)
                await eventually(lambda: databases)
                scope.cancel()
        assert scope.cancelled_caught
        assert {db.node.state for db in databases} == {NodeState.CLOSED}


async def test_a_wallet_that_is_removed_from_the_registry_of_a_network_is_out() -> None:
    registry = MockRegistry()
    async with network(3, registry=registry) as (one, two, three):
        registry.remove(three.node.wallet)
        for db in (one, two):
            await soon(db.node.gate.refresh())
        await eventually(lambda: [peer.wallet for peer in one.peers()] == [two.node.wallet])
        registry.add(three.node.wallet)
        for db in (one, two):
            await soon(db.node.gate.refresh())
        await eventually(lambda: len(one.peers()) == 2)


async def test_a_registry_answers_what_it_was_told_and_counts() -> None:
    registry = MockRegistry(["a"])
    registry.add("b", "a", "b")
    assert await registry() == registry.wallets == ["a", "b"]
    registry.remove("a", "c")
    assert await registry() == ["b"]
    registry.set(["x", "x"])
    assert await registry() == ["x", "x"]
    assert registry.calls == 3


async def test_a_registry_knows_a_wallet_in_every_spelling() -> None:
    from solders.pubkey import Pubkey

    wallet, other = Keypair.generate().wallet, Keypair.generate().wallet
    spellings: list[Any] = [wallet, str(wallet), bytes(wallet), bytearray(bytes(wallet)), Pubkey(bytes(wallet))]
    for listed in spellings:
        for spelling in spellings:
            registry = MockRegistry([listed, other])
            registry.add(spelling, spelling)
            assert await registry() == [listed, other]
            registry.remove(spelling)
            assert await registry() == [other]
    registry.add(*spellings)
    assert await registry() == [other, wallet]
    registry.set([*spellings, other])
    registry.remove(bytes(other))
    assert await registry() == spellings
    registry.remove(wallet)
    assert await registry() == []


async def test_a_registry_compares_what_is_no_wallet_by_itself() -> None:
    class Broken:
        def __bytes__(self) -> bytes:
            raise RuntimeError

    rubbish: list[Any] = ["no wallet", b"short", bytes(32), [], None, Broken(), Keypair.generate().wallet.peer_id]
    registry = MockRegistry()
    registry.set([*rubbish, "no wallet"])
    registry.add(*rubbish)
    assert await registry() == [*rubbish, "no wallet"]
    for entry in rubbish:
        registry.remove(entry)
        assert entry not in registry.wallets
    assert registry.wallets == []


async def test_a_registry_fails_takes_long_and_hangs_until_it_recovers() -> None:
    registry = MockRegistry(["a"])
    registry.fail(OSError("no chain"))
    with pytest.raises(OSError, match="no chain"):
        await registry()
    registry.recover()
    registry.delay(60)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(registry(), 0.01)
    registry.recover()
    registry.hang()
    call = asyncio.create_task(registry())
    cancelled = asyncio.create_task(registry())
    done, _ = await asyncio.wait([call, cancelled], timeout=0.05)
    assert not done
    cancelled.cancel()
    with suppress(asyncio.CancelledError):
        await cancelled
    thread = threading.Thread(target=registry.recover)
    thread.start()
    assert await soon(call) == ["a"]
    thread.join()
    assert registry.calls == 4


async def test_the_error_of_a_registry_does_not_grow_with_each_failure() -> None:
    registry, error = MockRegistry(), OSError("no chain")
    registry.fail(error)
    lengths = []
    for _ in range(10):
        with pytest.raises(OSError, match="no chain") as raised:
            await registry()
        lengths.append(len(raised.traceback))
    assert lengths == lengths[:1] * 10
    assert raised.value is error


async def test_a_node_meets_the_failure_of_its_registry() -> None:
    registry = MockRegistry()
    async with network(2, registry=registry) as (db, _):
        registry.fail(OSError("no chain"))
        with pytest.raises(RegistryError, match="no chain"):
            await soon(db.node.gate.refresh())
        assert len(db.peers()) == 1
        registry.recover()
        await soon(db.node.gate.refresh())


async def test_a_function_with_an_attribute_called_wallets_is_a_function() -> None:
    wallet = Keypair.generate().wallet

    class Registry:
        wallets = ("not", "these")

        def __call__(self) -> list[str]:
            return [wallet]

    async with connect(**alone(authorized_wallets=Registry())) as db:
        await soon(db.node.gate.refresh())
        assert db.node.gate.wallets == [wallet]


async def test_a_stranger_gets_nothing_and_with_the_control_everything() -> None:
    registry, stranger = MockRegistry(), Stranger()
    async with nothing_left():
        async with network(2, registry=registry) as (one, two), two.subscribe("t") as heard:
            addresses = entries_of((one, two))
            with one.node.events(PeerRefused) as refusals:
                knocked: set[str] = set()

                def both_transports(visit: Visit) -> bool:
                    knocked.update(re.findall("/(udp|tcp)/", " ".join(visit.ends)))
                    one.publish_nowait("t", "secret")
                    return knocked == {"udp", "tcp"} and len(visit.ends) > 3

                visit = await stranger.visit(addresses, "t", seconds=10, until=both_transports)
                assert knocked == {"udp", "tcp"}
                assert (visit.identified, visit.events_received, visit.events_sent) == (0, 0, 0)
                assert visit.events_published > 0
                refusal = await soon(anext(refusals))
                assert (refusal.wallet, refusal.direction) == (stranger.wallet, "inbound")
                assert refusal.reason == "not-listed"

            registry.add(stranger.wallet)
            for db in (one, two):
                await soon(db.node.gate.refresh())

            async def talk() -> None:
                await one.wait_for_peers("t", 2, 15)
                for number in range(20):
                    await one.publish("t", number)

            talking = asyncio.create_task(talk())
            visit = await stranger.visit(
                addresses, "t", seconds=15, until=lambda v: v.events_received >= 20 and v.events_sent > 0
            )
            await soon(talking)
            assert (visit.identified, visit.events_received) == (2, 20)
            authors = set()
            while stranger.wallet not in authors:
                authors.add((await heard.get(15)).wallet)
            assert authors == {one.node.wallet, stranger.wallet}
            await eventually(lambda: len(one.peers()) == 1)
        await eventually(lambda: not [name for name in native_threads() if name.startswith("stranger")])


async def test_a_stranger_before_a_shut_door_says_so() -> None:
    address = f"{Stranger().wallet}@127.0.0.1:-:9"
    visit = await Stranger().visit([address], "t", seconds=10, until=lambda visit: bool(visit.ends))
    assert visit.connected == 0
    assert "could not be reached" in visit.ends[0]


async def test_a_cancelled_visit_ends() -> None:
    async with nothing_left():
        visit = asyncio.create_task(Stranger().visit([], "t", seconds=60))
        await asyncio.sleep(0.05)
        visit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(visit)
        await eventually(lambda: not [name for name in native_threads() if name.startswith("stranger")])


@pytest.mark.parametrize("missing", ["solana", "solders", "spl", "websockets"])
@pytest.mark.parametrize("module", ["chain", "tokens"])
def test_what_needs_the_extra_names_it(module: str, missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import depinmesh.testing\n"
        f"try: import depinmesh.testing.{module}\n"
        "except ModuleNotFoundError as error: print(error.name.split('.')[0], error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unused = {"chain": ("spl",), "tokens": ("websockets",)}
    hint = f"depinmesh.testing.{module} needs more packages: pip install 'depinmesh[solana]'"
    assert done.stdout.strip() == ("" if missing in unused[module] else f"{missing} {hint}")


def test_the_recipe_of_the_documentation_works(pytester: pytest.Pytester) -> None:
    assert depinmesh.testing.__doc__ is not None
    recipe = re.search(r"\n    import pytest_asyncio\n.*?(?=\n\S)", depinmesh.testing.__doc__, re.DOTALL)
    assert recipe is not None
    pytester.makepyfile(test_recipe=re.sub("(?m)^    ", "", recipe[0]))
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    # In a process of its own: this one has a loop policy and plugins of ours.
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1)


def native_threads() -> list[str]:
    names = []
    for comm in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # it has just ended
            names.append(comm.read_text().strip())
    return names
