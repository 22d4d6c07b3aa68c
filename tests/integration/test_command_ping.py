"""`depinmesh ping` of a node that stops answering."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.commands import WAIT, line_of, new_key, running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot hold a process")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("timeout", "code", "reason"),
    [("3s", 3, "has not answered a ping within 3 s"), ("20s", 1, "the connection to {peer} has ended")],
    ids=["no answer", "no connection"],
)
def test_ping_shows_no_round_trip_twice(timeout: str, code: int, reason: str, tmp_path: Path) -> None:
    """A node that hangs after the first answer gets no second line: no answer in time, or the connection given up."""
    names = ("node", "tool")
    keys = {name: new_key(tmp_path, name) for name in names}
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(
            f"key_file: {name}.key\n"
            f"authorized_wallets: {json.dumps([key.wallet for key in keys.values()])}\n"
            "listen: {hosts: [127.0.0.1], quic_port: 0, tcp_port: 0}\n"
        )
    with running("node", "-c", tmp_path / "node.yaml") as node:
        entry = line_of(node.stdout, "@127.0.0.1:")
        arguments = (entry, "-n", 3, "--timeout", timeout, "-c", tmp_path / "tool.yaml")
        with running("ping", *arguments) as ping:
            line_of(ping.stdout, " ms")
            node.send_signal(signal.SIGSTOP)
            out, err = ping.communicate(timeout=WAIT)
    assert (ping.returncode, out) == (code, "")
    assert reason.format(peer=keys["node"].peer_id) in err
