"""What tests of the command line share: how a command is run, and a fleet of three nodes that commands made."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.configs import key_file
from tests.support import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each its own, as gossip may bring a newcomer what was published before it came.
TOPICS = ("news", "measured", "talk", "clock")
COMMAND = [sys.executable, "-P", "-m", "depinmesh"]
WAIT = 25.0


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DEPINMESH_")}


def run(*arguments: object, code: int = 0, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must be this exit code."""
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=WAIT, env=environment(), input=text
    )
    assert done.returncode == code, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(stream: IO[str] | None, what: str) -> str:
    """Return the next line that has this in it; pytest's time limit ends a wait in vain."""
    assert stream is not None
    for line in stream:
        if what in line:
            return line.strip()
    pytest.fail(f"it ended without a line with {what!r}")


def new_key(folder: Path, name: str) -> Keypair:
    return Keypair.from_file(key_file(folder, Keypair.generate(), f"{name}.key"))


@dataclass
class Member:
    """A node of the fleet."""

    file: Path
    key: Keypair
    ops: str
    entry: str
    process: subprocess.Popen[str]


@dataclass
class Fleet:
    """Three nodes, and two listed keys for tools."""

    folder: Path
    members: list[Member]
    tools: list[Path]


def status(member: Member) -> dict[str, Any]:
    """Return its status, with the checks that fail."""
    command = [*COMMAND, "status", "--json", "--ops", member.ops]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT)
    report: dict[str, Any] = json.loads(done.stdout)
    report["checks"] = [check for check in report["checks"] if not check["ok"]]
    assert done.returncode == bool(report["checks"])
    return report


@contextlib.contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    """Run three nodes until the block ends; they have found each other when it begins."""
    keys = {name: new_key(folder, name) for name in ("one", "two", "three", "tool", "other")}
    wallets = json.dumps([key.wallet for key in keys.values()])
    members: list[Member] = []
    with contextlib.ExitStack() as stack:
        for name in ("one", "two", "three"):
            file = folder / f"{name}.yaml"
            file.write_text(
                f"key_file: {name}.key\n"
                f"authorized_wallets: {wallets}\n"
                f"bootstrap_nodes: {json.dumps([member.entry for member in members])}\n"
                "databases: [load]\n"
                "listen:\n"
                "  hosts: [127.0.0.1]\n"
                f"  quic_port: {free_port(socket.SOCK_DGRAM)}\n"
                f"  tcp_port: {free_port(socket.SOCK_STREAM)}\n"
            )
            topics = [word for topic in TOPICS for word in ("--topic", topic)]
            node = running("node", "-c", file, "--ops", "127.0.0.1:0", "--min-peers", 2, *topics)
            process = stack.enter_context(node)
            ops = line_of(process.stderr, "ops at").partition("ops at ")[2]
            members.append(Member(file, keys[name], ops, line_of(process.stdout, "@127.0.0.1:"), process))
        until = time.monotonic() + WAIT
        while any(status(member)["checks"] for member in members):
            assert time.monotonic() < until, "the nodes do not find each other"
            time.sleep(0.1)
        yield Fleet(folder, members, [folder / "tool.key", folder / "other.key"])
