"""Nodes in the wrong loop, the wrong process, in nobody's hands, and on unusual loops."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import ForkedProcessError, ListenAddress, MeshError, Node, WrongLoopError, connect
from tests.support import alone, eventually, mesh_of, nothing_left, received, soon, threads_of_ours

if TYPE_CHECKING:
    from collections.abc import Callable

    from depinmesh import Database, Event, Wallet


def test_another_loop_is_refused() -> None:
    with asyncio.Runner() as first, asyncio.Runner() as second:
        db = first.run(_connected())
        stream = first.run(_stream(db))
        subscription = first.run(_subscribed(db))
        for call in (
            lambda: db.publish("t", 1),
            lambda: db.wait_for_peers("t", 1, 1),
            lambda: subscription.get(1),
            subscription.close,
            lambda: db.node.wait_ready(1),
            lambda: db.node.dial("/ip4/127.0.0.1/tcp/1"),
            db.close,
            lambda: _subscribed(db),
            stream.__anext__,
        ):
            with pytest.raises(WrongLoopError):
                second.run(call())
        with pytest.raises(WrongLoopError):
            _ = db.subscribe("u")
        first.run(db.close())


async def _connected() -> Database:
    return await connect(**alone())


async def _stream(db: Database) -> Any:
    return db.node.events()


def test_a_stream_that_was_made_before_the_start_belongs_to_the_loop_of_the_start() -> None:
    node = Node(**alone())
    stream = node.events(ListenAddress)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(node.start())
        with pytest.raises(WrongLoopError):
            second.run(stream.__anext__())
        assert isinstance(first.run(stream.__anext__()), ListenAddress)
        first.run(node.close())


async def _subscribed(db: Database) -> Any:
    return await db.subscribe("t")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_forked_child_is_refused() -> None:
    async with mesh_of(2) as (one, two), two.subscribe("t") as events:
        await one.publish("t", 1, min_peers=1, timeout=15)
        await events.get(15)
        outcome = await asyncio.to_thread(_in_a_fork, one, events)
        assert outcome == "ForkedProcessError\n" * 7
        await one.publish("t", 2)
        assert (await events.get(15)).message == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_node_made_in_a_forked_child_is_refused_clearly() -> None:
    """However the fork found the locks of the parent's threads: while they work, and after the last node was closed."""
    async with mesh_of(2) as (one, two), two.subscribe("t") as events:
        for number in range(25):
            await one.publish("t", number)
            assert await asyncio.to_thread(_forked, _new_node) == "ForkedProcessError: spawn\n"
        assert await asyncio.to_thread(_forked, _new_node_while_logging) == "ForkedProcessError: spawn\n"
        await eventually(lambda: received(events) > 0)
    assert await asyncio.to_thread(_forked, _new_node) == "ForkedProcessError: spawn\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_forked_before_the_first_node_may_have_nodes() -> None:
    program = """
        import asyncio, os
        import depinmesh
        from tests.support import alone, connect

        async def main():
            async with connect(**alone()) as db:
                return db.node.state

        child = os.fork()
        assert asyncio.run(main()) == "running"
        if child:
            assert os.waitpid(child, 0)[1] == 0
    """
    run = _python(program, "-W", "ignore::DeprecationWarning")
    assert run.returncode == 0, run.stderr


def _new_node() -> str:
    try:
        asyncio.run(_connected())
    except ForkedProcessError as error:
        return f"ForkedProcessError: {'spawn' if 'spawn' in str(error) else error}\n"
    return "connected\n"


def _new_node_while_logging() -> str:
    logging.getLogger("depinmesh").setLevel(logging.DEBUG)
    return _new_node()


def _in_a_fork(db: Database, subscription: Any) -> str:
    return _forked(lambda: _outcomes(db, subscription))


def _forked(work: Callable[[], str]) -> str:
    read, write = os.pipe()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # newer Pythons advise against it
        child = os.fork()
    if child == 0:
        # Nothing of the parent's may run here: no handlers at exit, no finalisers.
        with contextlib.suppress(BaseException):
            os.write(write, work().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as lines:
        outcome = lines.read()
    os.waitpid(child, 0)
    return outcome


def _outcomes(db: Database, subscription: Any) -> str:
    lines = ""
    calls = (
        lambda: db.publish_nowait("t", 1),
        db.peers,
        lambda: db.subscribe("t"),
        lambda: asyncio.run(db.publish("t", 1)),
        lambda: asyncio.run(subscription.get(1)),
        lambda: asyncio.run(db.wait_ready(1)),
        lambda: asyncio.run(db.close()),
    )
    for call in calls:
        try:
            call()
        except MeshError as error:
            lines += f"{type(error).__name__}\n"
        else:
            lines += "nothing raised\n"
    assert issubclass(ForkedProcessError, RuntimeError)
    return lines


async def test_a_node_that_nobody_refers_to_is_collected_with_a_warning() -> None:
    async with nothing_left():
        node = await _in_a_cycle()
        with pytest.warns(ResourceWarning, match="unclosed node"):
            await eventually(lambda: gc.collect() >= 0 and node() is None)


async def test_who_reads_the_events_of_a_node_that_is_collected_waits_no_longer() -> None:
    node = Node(**alone())
    await node.start()
    gone, events = weakref.ref(node), node.events()

    async def read() -> None:
        async for _ in events:
            pass

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    del node
    with pytest.warns(ResourceWarning, match="unclosed node"):
        await eventually(lambda: gc.collect() >= 0 and gone() is None)
    await soon(reading)


@pytest.mark.parametrize("waits", [False, True], ids=["before", "meanwhile"])
async def test_who_reads_the_events_of_a_node_that_is_collected_before_it_was_started_waits_no_longer(
    waits: bool,
) -> None:
    node = Node(**alone())
    gone, events = weakref.ref(node), node.events()

    async def read() -> None:
        async for _ in events:
            pass

    reading = asyncio.create_task(read())
    if waits:
        await asyncio.sleep(0)
    del node
    await eventually(lambda: gc.collect() >= 0 and gone() is None)
    await soon(reading)


async def test_a_node_cannot_be_copied_and_goes_on() -> None:
    async with connect(**alone()) as db:
        for way in copy.copy, copy.deepcopy, pickle.dumps:
            with pytest.raises(TypeError, match="a Node cannot be copied or pickled"):
                way(db.node)
        gc.collect()
        await db.publish("t", 1)


async def _in_a_cycle() -> weakref.ref[Node]:
    """Return a node that is held by nothing but a cycle through the functions of its user."""
    db = await connect(**alone(authorized_wallets=_no_wallets))
    await db.subscribe("t", lambda _: db)
    return weakref.ref(db.node)


def _no_wallets() -> list[Wallet]:
    return []


@pytest.mark.parametrize(
    "way",
    [
        "pass",
        "raise SystemExit(0)",
        "import threading; threading.Thread(target=time.sleep, args=(1,), daemon=True).start()",
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_a_process_ends_whatever_state_its_nodes_are_in(way: str, *, closed: bool) -> None:
    program = f"""
        import asyncio, time
        from tests.support import nothing_left, state_of, alone, connect

        async def main():
            global db
            db = await connect(**alone())
            await db.subscribe("t", print)
            waiting = asyncio.ensure_future(db.wait_ready())
            await asyncio.sleep(0.01)
            waiting.cancel()
            if {closed}:
                await db.close()

        asyncio.run(main())
        {way}
    """
    run = _python(program, "-W", "always::ResourceWarning")
    assert run.returncode == 0, run.stderr
    assert ("unclosed node" in run.stderr) is not closed
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr


def _python(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *options, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


class LoopWithoutReader(asyncio.SelectorEventLoop):
    """Stands for the loop of Windows, which cannot watch descriptors."""

    add_reader = asyncio.AbstractEventLoop.add_reader


def test_a_loop_that_cannot_watch_descriptors_is_woken_by_a_thread() -> None:
    async def main() -> list[Any]:
        messages: list[Any] = []
        async with mesh_of(2) as (one, two):
            assert "depinmesh-waker" in threads_of_ours()

            async def handler(event: Event) -> None:
                messages.append(event.message)

            await two.subscribe("t", handler)
            await one.wait_for_peers("t", 1, 15)
            for number in range(100):
                await one.publish("t", number)
            await eventually(lambda: len(messages) == 100)
        await eventually(lambda: threads_of_ours() == [])
        return messages

    with asyncio.Runner(loop_factory=LoopWithoutReader) as runner:
        assert runner.run(main()) == list(range(100))


def test_uvloop_works_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async with mesh_of(2) as (one, two), two.subscribe("t") as events:
            await one.publish("t", "hello", min_peers=1, timeout=15)
            assert (await events.get(15)).message == "hello"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
