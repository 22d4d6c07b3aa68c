"""The examples, run as their first lines say, with keys and addresses of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.support import eventually, heard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from depinmesh import Database

# Windows cannot send Ctrl-C to one process alone.
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the examples are ended by SIGINT")
EXAMPLES = Path(__file__).parents[2] / "examples"
WAIT = 25.0


class Fleet:
    """Configuration files: those of the examples, on loopback, and with wallets whose keys we have."""

    def __init__(self, folder: Path, members: int) -> None:
        self.keys = [Keypair.generate() for _ in range(members)]
        self._folder = folder

    def file(self, example: str, member: int) -> Path:
        key = self._folder / f"{member}.key"
        key.write_text(self.keys[member].to_base58())
        key.chmod(0o600)
        file = self._folder / f"{member}.yaml"
        file.write_text((EXAMPLES / example).read_text())
        return file

    def environment(self, member: int, known: str = "") -> dict[str, str]:
        """Return what differs from the file: variables win over it."""
        return {
            "DEPINMESH_KEY_FILE": str(self._folder / f"{member}.key"),
            "DEPINMESH_AUTHORIZED_WALLETS": ",".join(key.wallet for key in self.keys),
            "DEPINMESH_BOOTSTRAP_NODES": known,
            "DEPINMESH_LISTEN__HOSTS": "127.0.0.1",
            "DEPINMESH_LISTEN__QUIC_PORT": "0",
            "DEPINMESH_LISTEN__TCP_PORT": "0",
        }

    @contextlib.contextmanager
    def running(
        self, member: int, config: str, script: str, *arguments: str, known: str = ""
    ) -> Iterator[subprocess.Popen[str]]:
        """Run an example with a member's key; it ends in order when it is interrupted."""
        file = self.file(config, member)
        command = [
            sys.executable,
            str(EXAMPLES / script),
            *(str(file) if one == "CONFIG" else one for one in arguments),
        ]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEPINMESH_")}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**inherited, **self.environment(member, known)}
        ) as process:
            try:
                yield process
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=WAIT)
                assert process.returncode == 0
            finally:
                process.kill()


def line_of(process: subprocess.Popen[str], what: str) -> str:
    """Return the next line that has this in it; pytest's time limit ends a wait in vain."""
    assert process.stdout is not None
    for line in process.stdout:
        if what in line:
            return line.strip()
    pytest.fail(f"it ended without a line with {what!r}")


@pytest.mark.timeout(60)
def test_media_nodes(tmp_path: Path) -> None:
    """One learns of the other's room, joins it through the inboxes, and forgets it when the other has gone."""
    fleet = Fleet(tmp_path, 2)
    config, script = "media_node.yaml", "media_node.py"
    with fleet.running(0, config, script, "CONFIG", "lobby", "stage", "--interval", "0.5") as host:
        known = line_of(host, "@127.0.0.1:")
        with fleet.running(1, config, script, "CONFIG", "--join", "lobby", "--interval", "0.5", known=known) as guest:
            assert line_of(host, "joins") == f"{fleet.keys[1].wallet} joins lobby"
            assert line_of(guest, "admitted") == f"admitted to lobby by {fleet.keys[0].wallet} as number 1"
            host.send_signal(signal.SIGINT)
            host.wait(WAIT)
            assert line_of(guest, "is gone").endswith(f"is gone with {fleet.keys[0].wallet}")


FOREIGN: list[Any] = [[], None, 1, "text", {}, {"rooms": 5}, {"rooms": None}, {"join": 1, "id": 2}, {"join": "lobby"}]


@contextlib.asynccontextmanager
async def media_node(db: Database, rooms: list[str], wanted: str | None) -> AsyncIterator[Any]:
    """Run the node of the example in this process."""
    node = runpy.run_path(str(EXAMPLES / "media_node.py"))["MediaNode"](db, rooms, 0.3)
    running = asyncio.create_task(node.run(wanted))
    try:
        yield node
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_media_node_takes_whatever_others_send(
    pair: tuple[Database, Database], capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages of other programs, and requests of one who has gone before the answer or asks again, hold up nobody."""
    one, two = pair
    inbox = f"inbox/{one.node.peer_id}"
    async with media_node(one, ["lobby"], None) as host:
        for topic in (inbox, "rooms"):
            await heard(two, one, topic)
            for message in FOREIGN:
                await two.publish(topic, message)
        for _ in range(2):
            await two.publish(inbox, {"join": "lobby", "id": "gone"})
        async with media_node(two, [], "lobby"):
            await eventually(lambda: "admitted to lobby" in capsys.readouterr().out)
        errors = [metric.value for db in pair for metric in db.node.metrics() if metric.name == "handler_errors_total"]
        assert sum(errors) == 0
        assert list(host.rooms["lobby"].values()) == [1, 2]


async def test_a_media_node_gives_up_on_one_that_never_answers(
    pair: tuple[Database, Database], capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = pair
    async with media_node(one, [], "lobby"):
        await heard(two, one, "rooms")
        said = ""
        while "gave up on lobby" not in said:
            await two.publish("rooms", {"rooms": {"lobby": 0}})
            await asyncio.sleep(0.05)
            said += capsys.readouterr().out
        assert f"{two.node.wallet} does not answer" in said


@pytest.mark.timeout(60)
def test_sensor_fleet(tmp_path: Path) -> None:
    """A collector has the readings of two sensors, and sees one go."""
    fleet = Fleet(tmp_path, 3)
    script = "sensor_fleet.py"
    with fleet.running(0, "collector.yaml", script, "collector", "CONFIG", "--interval", "0.5") as collector:
        known = line_of(collector, "@127.0.0.1:")
        interval = ("--interval", "0.05")
        with fleet.running(1, "sensor.yaml", script, "sensor", "CONFIG", *interval, known=known):
            with fleet.running(2, "sensor.yaml", script, "sensor", "CONFIG", *interval, known=known):
                for key in fleet.keys[1:]:
                    assert line_of(collector, f"{key.wallet} mean=").endswith("missing=0")
            assert line_of(collector, "is gone").startswith(fleet.keys[2].wallet)


@pytest.mark.timeout(60)
def test_nodes_of_a_chain() -> None:
    """Nodes that a program lists exchange an event, and one that it lists no more is cut off."""
    pytest.importorskip("solders.litesvm")
    command = [sys.executable, str(EXAMPLES / "solana_local.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    says, gone = done.stdout.splitlines()
    assert says.endswith("says {'room': 'lobby'}")
    assert gone.endswith("was switched off on the chain: revoked")
