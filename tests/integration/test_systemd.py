"""The protocol of systemd's notification, against a datagram socket in the place of systemd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, Node
from depinmesh.systemd import Notifier, notifying
from depinmesh.testing import crash
from tests.support import WAIT, alone, eventually, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd")


class Manager:
    """Hears what a service manager would."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address)
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        """All lines so far."""
        while True:
            try:
                self._lines += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self._lines

    def close(self) -> None:
        self._socket.close()


@asynccontextmanager
async def manager(address: str) -> AsyncIterator[Manager]:
    """Listen for the time of the block."""
    one = Manager(address)
    yield one
    one.close()


async def test_ready_watchdog_and_stopping_come_in_this_order(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "60000", "WATCHDOG_PID": str(os.getpid())}
    async with manager(environment["NOTIFY_SOCKET"]) as systemd, nothing_left(), Node(**alone()) as node:
        assert systemd.lines == []
        async with notifying(node, environment):
            await eventually(lambda: systemd.lines.count("WATCHDOG=1") >= 3)
        assert systemd.lines[:2] == ["READY=1", "STATUS=running, 0 peers"]
        assert systemd.lines[-2:] == ["STOPPING=1", "STATUS=closing the node"]


async def test_the_watchdog_starves_when_the_core_fails(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "60000"}
    async with (
        manager(environment["NOTIFY_SOCKET"]) as systemd,
        Node(**alone()) as node,
        notifying(node, environment),
    ):
        await eventually(lambda: "WATCHDOG=1" in systemd.lines)
        crash(node)
        await eventually(lambda: "STATUS=failed, 0 peers" in systemd.lines)
        fed = systemd.lines.count("WATCHDOG=1")
        told = len(systemd.lines)
        await eventually(lambda: len(systemd.lines) >= told + 3)
        assert systemd.lines.count("WATCHDOG=1") == fed


async def test_the_watchdog_starves_when_the_loop_is_blocked(tmp_path: Path) -> None:
    import time

    environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "60000"}
    async with (
        manager(environment["NOTIFY_SOCKET"]) as systemd,
        Node(**alone()) as node,
        notifying(node, environment),
    ):
        await eventually(lambda: "WATCHDOG=1" in systemd.lines)
        fed = systemd.lines.count("WATCHDOG=1")
        time.sleep(0.3)  # noqa: ASYNC251  # this is what is tested
        assert systemd.lines.count("WATCHDOG=1") == fed
        await eventually(lambda: systemd.lines.count("WATCHDOG=1") > fed)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are of Linux")
async def test_an_abstract_socket_is_reached() -> None:
    name = f"depinmesh-test-{os.getpid()}"
    async with (
        manager(f"\0{name}") as systemd,
        Node(**alone()) as node,
        notifying(node, {"NOTIFY_SOCKET": f"@{name}"}),
    ):
        assert systemd.lines[0] == "READY=1"
        await asyncio.sleep(0)
        assert "WATCHDOG=1" not in systemd.lines


async def test_a_cancellation_of_the_program_at_the_end_is_not_lost(tmp_path: Path) -> None:
    went_on = False

    async def program(node: Node) -> None:
        nonlocal went_on
        async with notifying(node, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.sleep(1)
        went_on = True

    async with Node(**alone()) as node:
        running = asyncio.create_task(program(node))
        await asyncio.wait({running}, timeout=WAIT)
        assert running.cancelled()
        assert not went_on


async def test_without_systemd_and_without_a_listener_nothing_happens(tmp_path: Path) -> None:
    async with Node(**alone()) as node:
        for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
            async with notifying(node, environment):
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_that_of_this_process(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/n", **environment}).watchdog == seconds


async def test_the_command_is_a_service_of_the_type_notify(tmp_path: Path) -> None:
    """As systemd would run it: with a key as a credential, a watchdog, and SIGTERM at the end."""
    key = Keypair.generate()
    credential = tmp_path / "key"
    credential.touch(mode=0o600)
    credential.write_text(key.to_base58())
    config = tmp_path / "node.yaml"
    config.write_text(
        f"authorized_wallets: [{key.wallet}]\nlisten: {{hosts: [127.0.0.1], quic_port: 0, tcp_port: 0}}\n"
    )
    address = str(tmp_path / "n")
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": address,
        "WATCHDOG_USEC": "300000",
        "DEPINMESH_KEY_FILE": str(credential),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    async with manager(address) as systemd:
        command = [sys.executable, "-m", "depinmesh", "node", "--config", str(config), "--ops", "127.0.0.1:0"]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            await eventually(lambda: systemd.lines.count("WATCHDOG=1") >= 3)
            assert systemd.lines[0] == "READY=1"
            process.terminate()
            _, errors = await asyncio.wait_for(process.communicate(), WAIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert process.returncode == 0, errors.decode()
        assert systemd.lines[-2:] == ["STOPPING=1", "STATUS=closing the node"]
        assert b"ops at http://127.0.0.1:" in errors
        assert key.to_base58().encode() not in errors
