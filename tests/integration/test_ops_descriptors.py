"""The ops server of a node that has no descriptors left, as when strangers hold them all."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.commands import WAIT, line_of, new_key, running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

resource = pytest.importorskip("resource", reason="Windows limits no descriptors")
pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits those of another process")

_MANY = 100


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A node, and where its ops server is."""
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text(
        "key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 127.0.0.1, quic_port: 0, tcp_port: 0}\n"
    )
    with running("node", "-c", file, "--ops", "127.0.0.1:0", "--status-interval", 0) as process:
        url = line_of(process.stderr, "ops at").partition("ops at ")[2]
        line_of(process.stdout, "@127.0.0.1:")
        yield process, url


def limit(process: subprocess.Popen[str], number: int) -> None:
    hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (number, hard))


def used(process: subprocess.Popen[str]) -> int:
    return max(int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()) + 1


def place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def said_afterwards(process: subprocess.Popen[str]) -> list[str]:
    process.terminate()
    _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 0
    return said.splitlines()


@pytest.mark.timeout(90)
def test_connections_that_take_all_descriptors_give_way(node: tuple[subprocess.Popen[str], str]) -> None:
    process, url = node
    limit(process, used(process) + 10)
    with contextlib.ExitStack() as stack:
        for _ in range(_MANY):
            stack.enter_context(socket.create_connection(place(url), timeout=WAIT))
        for _ in range(3):
            assert httpx2.get(f"{url}/livez", timeout=WAIT, trust_env=False).status_code == 200
    said = said_afterwards(process)
    assert any("cannot take connections" in line for line in said)
    assert len(said) < 20, said


@pytest.mark.timeout(90)
def test_it_answers_when_there_are_descriptors_again(node: tuple[subprocess.Popen[str], str]) -> None:
    process, url = node
    enough = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0]
    limit(process, 3)
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(socket.create_connection(place(url), timeout=WAIT)) for _ in range(20)]
        for one in waiting:
            one.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        line_of(process.stderr, "cannot take connections")
        limit(process, enough)
        for one in waiting:
            assert one.recv(100).startswith(b"HTTP/1.1 200")
    assert not any("cannot take connections" in line for line in said_afterwards(process))
