"""The native node without a network: options, wakes, the mailbox of a node that never started, and forked children."""

from __future__ import annotations

import os
import select
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Literal

import pytest

from depinmesh import ClosedError, ConfigError, ForkedProcessError, _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from depinmesh._core import Item, NodeOptions


def options(waker: Literal["auto", "thread"] = "auto", host: str = "127.0.0.1") -> NodeOptions:
    return {
        "hosts": [host],
        "quic_port": 0,
        "tcp_port": None,
        "announce": [],
        "refresh_interval": 30.0,
        "gate_timeout": 10.0,
        "min_interval": 1.0,
        "negative_ttl": 10.0,
        "max_stale": 900.0,
        "revocation": "close",
        "connect_timeout": 30.0,
        "retry_interval": 5.0,
        "loss_delay": 2.0,
        "dht": True,
        "rendezvous_interval": 2.0,
        "max_new_per_round": 5,
        "mdns": False,
        "discovery_registry": False,
        "low": 100,
        "high": 400,
        "grace": 60.0,
        "max_per_ip": 64,
        "max_pending_per_ip": 16,
        "dial_concurrency": 8,
        "handshake_timeout": 10.0,
        "max_message_size": 1_000_000,
        "relay_client": True,
        "relay_server": False,
        "hole_punching": True,
        "upnp": False,
        "autonat": False,
        "autonat_server": False,
        "relays": [],
        "flood_publish": False,
        "batching": False,
        "waker": waker,
    }


def make(waker: Literal["auto", "thread"] = "auto") -> _core.Node:
    return _core.Node(_core.SecretKey.generate(), options(waker))


def drained(node: _core.Node) -> list[Item] | None:
    """Everything that is there; None once the mailbox has ended without another item."""
    everything: list[Item] = []
    while taken := node.drain(1):
        everything += taken
    return None if taken is None and not everything else everything


def test_a_node_that_never_started_closes_at_once() -> None:
    node = make()
    assert drained(node) == []
    node.close(7, 10.0)
    assert drained(node) == [("done", 7, None), ("stopped", None)]
    assert drained(node) is None


def test_calls_after_the_close_say_so() -> None:
    node = make()
    node.close(1, 10.0)
    node.close(2, 10.0)
    for call in (
        lambda: node.publish(1, "topic", {}),
        lambda: node.subscribe(1, "topic", 1, 1, "drop_oldest"),
        lambda: node.attach("database", [], by_check=False),
        lambda: node.topic_peers(1, "topic"),
        lambda: node.has_topic_peers(1, "topic", 0),
    ):
        with pytest.raises(ClosedError):
            call()
    assert node.peers(None) == []
    assert node.addresses() == []
    assert node.gate_wallets() == []
    assert node.gate_age() is None
    assert not node.gate_listed()
    assert not node.is_ready(None)
    assert isinstance(node.status(), dict)
    assert all(kind in {"counter", "gauge", "histogram"} for _, kind, *_ in node.metrics())


def test_what_is_no_address_to_listen_on_is_named() -> None:
    with pytest.raises(ConfigError, match=r"listen\.hosts") as caught:
        _core.Node(_core.SecretKey.generate(), options(host="localhost"))
    assert [problem.path for problem in caught.value.errors] == ["listen.hosts"]


def test_a_missing_option_is_named() -> None:
    incomplete = options()
    del incomplete["waker"]  # type: ignore[misc]  # that is the point
    with pytest.raises((TypeError, KeyError), match="waker"):
        _core.Node(_core.SecretKey.generate(), incomplete)


@pytest.mark.skipif(sys.platform == "win32", reason="loops of Windows cannot watch descriptors")
def test_a_descriptor_becomes_readable_once_for_each_time_the_mailbox_was_found_empty() -> None:
    node = make()

    def readable() -> bool:
        return bool(select.select([node.wake_fd()], [], [], 0)[0])

    assert not readable()
    node.close(1, 1.0)
    assert readable()  # although nobody has drained yet
    node.clear_wake()
    assert not readable()
    with pytest.raises(RuntimeError, match="wake_fd"):
        node.wait_wake(0.0)


def test_a_thread_can_wait_for_the_wake() -> None:
    node = make("thread")
    assert node.wake_fd() == -1
    assert drained(node) == []
    assert not node.wait_wake(0.01)

    woken: list[bool] = []
    waiter = threading.Thread(target=lambda: woken.append(node.wait_wake(20.0)))
    waiter.start()
    node.close(1, 1.0)
    waiter.join(20.0)
    assert woken == [True]


def in_child(check: Callable[[], None]) -> int:
    """Run `check` in a forked child and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            check()
        except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_refused_everything_and_destroys_nothing() -> None:
    nodes = [make()]
    assert drained(nodes[0]) == []

    def check() -> None:
        node = nodes.pop()
        for call in (
            node.wake_fd,
            node.clear_wake,
            lambda: node.wait_wake(0.0),
            lambda: node.drain(1),
            lambda: node.start(1),
            lambda: node.close(1, 1.0),
            lambda: node.cancel(1),
            lambda: node.publish(1, "topic", {}),
            lambda: node.peers(None),
            node.status,
            node.metrics,
        ):
            with pytest.raises(ForkedProcessError):
                call()
        node.abort()

    assert in_child(check) == 0
    # The parent's is as it was.
    nodes[0].close(3, 1.0)
    assert drained(nodes[0]) == [("done", 3, None), ("stopped", None)]
