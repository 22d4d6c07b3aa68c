"""What the doctor finds, in a healthy fleet and where something is wrong."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.commands import new_key, run, running
from tests.support import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands import Fleet


def findings(*arguments: object, code: int = 0) -> dict[str, dict[str, str]]:
    """Return what the doctor found, by what it looked at; each thing that is not right has a remedy."""
    found = json.loads(run("doctor", "--json", *arguments, code=code).stdout)
    assert all(one["verdict"] == "ok" or one["remedy"] for one in found)
    return {one["what"]: one for one in found}


@pytest.mark.timeout(60)
def test_the_doctor_finds_a_healthy_node_healthy(fleet: Fleet) -> None:
    three = fleet.members[2]
    found = findings("-c", three.file, "--ops", three.ops)
    assert found["running node"]["detail"] == "ready, with 2 peers"
    assert {one["verdict"] for one in found.values()} == {"ok", "skipped"}
    with running("pub", "clock", '"tick"', "-n", 200, "--interval", 0.1, "-c", three.file, "--key", fleet.tools[1]):
        arguments = ("-c", three.file, "--key", fleet.tools[0], "--topic", "clock")
        found = findings(*arguments)
    assert {one["verdict"] for one in found.values()} == {"ok"}
    assert found["clock"]["detail"].startswith("agrees with 1 authors")
    for member in fleet.members[:2]:
        assert f"bootstrap node {member.entry}" in found


@pytest.mark.timeout(60)
def test_the_doctor_finds_what_is_wrong(fleet: Fleet, tmp_path: Path) -> None:
    """A wrong key, a taken port, a dead registry, a dead bootstrap node: each is named, with a remedy."""
    one = fleet.members[0]
    taken = findings("-c", one.file, code=1)["ports"]
    assert taken["verdict"] == "fault"
    assert "listen." in taken["remedy"]

    key = new_key(tmp_path, "node")
    free = "--set", "listen.quic_port=0", "--set", "listen.tcp_port=0"
    unlisted = findings("-c", one.file, *free, "--set", f"key_file={tmp_path / 'node.key'}", code=1)
    assert f"list {key.wallet}" in unlisted["own wallet in depin-network"]["remedy"]

    (tmp_path / "node.key").chmod(0o644)
    key_fault = findings("-c", one.file, "--set", f"key_file={tmp_path / 'node.key'}", code=1)
    assert key_fault.keys() == {"key"}
    assert "chmod 600" in key_fault["key"]["detail"]

    (tmp_path / "chain.py").write_text("def dead():\n    raise ConnectionError('the chain is away')\n")
    (tmp_path / "dead.yaml").write_text("authorized_wallets: chain:dead\nlisten: {hosts: 127.0.0.1}\n")
    dead = findings("-c", tmp_path / "dead.yaml", "--key", fleet.tools[0], code=1)
    assert "the chain is away" in dead["registry of depin-network"]["detail"]

    nobody = f"{one.key.wallet}@127.0.0.1:{free_port(socket.SOCK_DGRAM)}:{free_port(socket.SOCK_STREAM)}"
    away = findings(
        "-c", one.file, "--key", fleet.tools[0], "--set", f"bootstrap_nodes={nobody}", "--set", f"{free[1]}", code=1
    )
    assert "could not be reached" in away[f"bootstrap node {nobody}"]["detail"]


def test_the_doctor_goes_on_where_its_own_node_cannot_start(fleet: Fleet) -> None:
    two = fleet.members[1]
    own = ("-c", two.file, "--key", fleet.tools[0])
    found = findings(*own, "--set", "listen.hosts=203.0.113.9", "--topic", "clock", code=1)
    assert found["own node"]["verdict"] == "fault"
    assert "203.0.113.9" in found["own node"]["detail"]
    assert found["registry of depin-network"]["verdict"] == "ok"
    for what in (f"bootstrap node {fleet.members[0].entry}", "clock"):
        assert found[what]["verdict"] == "skipped"
        assert "no node could be started" in found[what]["detail"]

    unheard = findings(*own, "--topic", "", code=1)
    assert unheard["clock"]["verdict"] == "fault"
    assert unheard[f"bootstrap node {fleet.members[0].entry}"]["verdict"] == "ok"
