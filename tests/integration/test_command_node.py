"""A node of the command line: how it starts and ends, and what it says when it cannot start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import COMMAND, WAIT, environment, line_of, new_key, run, running

if TYPE_CHECKING:
    from tests.commands import Fleet


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process alone")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_starts_says_where_it_is_and_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text("key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 127.0.0.1}\n")
    free = "--set", "listen.quic_port=0", "--set", "listen.tcp_port=0"
    with running("node", "-c", file, *free, "--log-format", "json", "--status-interval", 0.2) as node:
        line_of(node.stdout, "@127.0.0.1:")
        record = json.loads(line_of(node.stderr, "Status:"))
        assert record["logger"] == "depinmesh.node"
        node.send_signal(number)
        node.communicate(timeout=WAIT)
    assert node.returncode == 0


TALKING = """
import logging
import warnings


def wallets():
    warnings.warn("an old name", stacklevel=1)
    logging.getLogger("asyncio").error("a slow callback")
    logging.getLogger("uvicorn.error").warning("a request that is none")
    logging.getLogger("others").info("not for an operator")
    return []
"""


def test_every_line_of_a_log_in_json_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "talking.py").write_text(TALKING)
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text(
        "key_file: node.key\n"
        "authorized_wallets: talking:wallets\n"
        "listen: {hosts: 127.0.0.1, quic_port: 0, tcp_port: 0}\n"
    )
    with running("node", "-c", file, "--log-format", "json", "--ops", "127.0.0.1:0") as node:
        line_of(node.stdout, "@127.0.0.1:")
        node.terminate()
        _, said = node.communicate(timeout=WAIT)
    records = [json.loads(line) for line in said.splitlines()]
    loggers = [record["logger"] for record in records]
    for name in ("py.warnings", "asyncio", "uvicorn.error"):
        assert loggers.count(name) == 1
    assert "others" not in loggers
    (ops,) = (record for record in records if record["msg"].startswith("ops at http://127.0.0.1:"))
    assert ops["logger"] == "depinmesh.node"
    assert len({json.dumps(record) for record in records}) == len(records)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_node_whose_entries_cannot_be_printed_goes_on(tmp_path: Path) -> None:
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text("key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 127.0.0.1}\n")
    free = "--set", "listen.quic_port=0", "--set", "listen.tcp_port=0"
    command = [*COMMAND, "node", "-c", str(file), *free, "--status-interval", "0.2"]
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment()) as node,
    ):
        try:
            assert "No space left" in line_of(node.stderr, "entries cannot be printed")
            line_of(node.stderr, "Status: ")
            node.terminate()
            _, said = node.communicate(timeout=WAIT)
        finally:
            node.kill()
    assert (node.returncode, "stdout" in said) == (0, False)


SILENT_NAME_SERVER = """
import socket
import sys
import time

lookup = socket.getaddrinfo


def getaddrinfo(host, *rest, **more):
    if host in ("registry.invalid", b"registry.invalid"):
        print("nobody knows registry.invalid", file=sys.stderr, flush=True)
        time.sleep(60)
    return lookup(host, *rest, **more)


socket.getaddrinfo = getaddrinfo
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_a_silent_name_server_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "sitecustomize.py").write_text(SILENT_NAME_SERVER)
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text(
        "key_file: node.key\n"
        "authorized_wallets: {type: http, urls: https://registry.invalid/wallets}\n"
        "bootstrap_nodes: {type: http, urls: https://registry.invalid/nodes}\n"
        "bootstrap: {wait: none}\n"
        "gate: {timeout: 2s}\n"
        "listen: {hosts: 127.0.0.1, quic_port: 0, tcp_port: 0}\n"
    )
    with running("node", "-c", file) as node:
        line_of(node.stdout, "@127.0.0.1:")
        line_of(node.stderr, "nobody knows registry.invalid")
        node.send_signal(signal.SIGTERM)
        node.communicate(timeout=15)
    assert node.returncode == 0


CRASHING = """
import gc
from pathlib import Path

from depinmesh import Node
from depinmesh.testing.faults import crash


async def wallets():
    if Path(__file__).with_name("now").exists():
        for one in gc.get_objects():
            if type(one) is Node:
                crash(one)
    return []
"""


def test_a_node_whose_core_fails_ends_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "crashing.py").write_text(CRASHING)
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text(
        "key_file: node.key\n"
        "authorized_wallets: crashing:wallets\n"
        "gate: {refresh_interval: 200ms}\n"
        "listen: {hosts: 127.0.0.1, quic_port: 0, tcp_port: 0}\n"
    )
    with running("node", "-c", file, "--status-interval", 0.2) as node:
        line_of(node.stdout, "@127.0.0.1:")
        for _ in range(3):
            line_of(node.stderr, "Status:")  # it runs on, and reads its registry
        assert node.poll() is None
        (tmp_path / "now").touch()
        _, said = node.communicate(timeout=WAIT)
    assert node.returncode == 1
    assert said.splitlines()[-1].startswith("depinmesh node: ")


@pytest.mark.parametrize("what", ["port", "ops"])
def test_a_taken_port_is_an_error_and_nothing_is_left(fleet: Fleet, tmp_path: Path, what: str) -> None:
    one = fleet.members[0]
    arguments: list[object] = ["node", "-c", one.file, "--set", f"key_file={fleet.tools[0]}"]
    if what == "ops":
        arguments += ["--set", "listen.quic_port=0", "--set", "listen.tcp_port=0"]
        arguments += ["--ops", one.ops.removeprefix("http://")]
    done = run(*arguments, code=1)
    assert done.stdout == ""
    *log, error = done.stderr.splitlines()
    assert error.startswith("depinmesh node: ")
    assert "listen" in error
    assert any("starting to listen" in line for line in log)


def test_without_a_file_it_says_so() -> None:
    told = run("node", code=2).stderr
    assert "--config: is not given" in told
    assert "authorized_wallets" in told


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text("key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 192.0.2.1}\n")
    assert "192.0.2.1" in run("node", "-c", file, code=1).stderr
    assert "no address of this machine" in run("doctor", "-c", file, code=1).stdout


def test_a_port_without_permission_is_an_error(tmp_path: Path) -> None:
    lowest = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not lowest.exists() or int(lowest.read_text()) <= 80:
        pytest.skip("low ports are anybody's here")
    # As root: without the capability. There is a geteuid, as there is a /proc.
    without = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    if without and shutil.which(without[0]) is None:
        pytest.skip("no setpriv (util-linux), without which the superuser may use any port")
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text(
        "key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 127.0.0.1, quic_port: off, tcp_port: 80}\n"
    )
    for command, said in (("node", "Permission denied"), ("doctor", "take a port above 1023")):
        done = subprocess.run(
            [*without, *COMMAND, command, "-c", str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT,
            env=environment(),
        )
        assert done.returncode == 1
        assert said in done.stdout + done.stderr
