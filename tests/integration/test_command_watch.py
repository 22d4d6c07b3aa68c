"""`depinmesh registry watch` when listening fails: it says so, goes on, and leaves nothing running."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import IO, TYPE_CHECKING

import pytest

pytest.importorskip("solana")

from depinmesh import Keypair
from depinmesh.cli import main
from depinmesh.testing.tokens import DTelecom
from tests.chains import keys
from tests.commands import WAIT, line_of, new_key, running
from tests.support import eventually, soon

if TYPE_CHECKING:
    from pathlib import Path

    from depinmesh.testing.chain import LocalChain


async def line(stream: IO[str] | None, what: str) -> str:
    """Wait for a line while the chain of this process runs."""
    return await soon(asyncio.to_thread(line_of, stream, what))


@pytest.mark.timeout(60)
async def test_watch_listens_again_when_the_connection_is_lost(chain: LocalChain, tmp_path: Path) -> None:
    one, two = keys(2)
    fleet = DTelecom(chain)
    await fleet.set_node(one.wallet)
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text(
        f"key_file: node.key\nauthorized_wallets: {{type: solana, rpc: '{chain.url}', "
        f"websocket: '{chain.websocket_url}', registry: {fleet.registry}}}\n"
    )
    with running("registry", "watch", "--interval", 0.5, "-c", file) as watch:
        await line(watch.stdout, f"+ {one.wallet}")
        await eventually(lambda: chain.subscribers)
        before = set(chain._subscriptions)
        await chain.drop_websockets()
        assert "listening to the registry failed: RegistryError: " in await line(watch.stderr, "again in 0.5 s")
        await eventually(lambda: set(chain._subscriptions) - before)
        await fleet.set_node(two.wallet)
        await line(watch.stdout, f"+ {two.wallet}")
        assert watch.poll() is None


SOURCE = """
import asyncio, sys

SECRET, PUSHED = "{secret}", "{pushed}"

class Registry:
    tries = calls = 0

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        print("left with", self.calls, "calls", file=sys.stderr)

    async def wallets(self):
        self.calls += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.calls -= 1

    async def changes(self):
        self.calls += 1
        try:
            self.tries += 1
            if self.tries == 1:
                raise ValueError("no answer to " + SECRET)
            while True:
                yield [PUSHED]
                yield []
                await asyncio.sleep(0.02)
        finally:
            self.calls -= 1
            if self.tries > 1:
                raise OSError("closed already")

registry = Registry()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process alone")
@pytest.mark.parametrize("end", ["ctrl-c", "closed output"])
def test_watch_survives_any_error_of_a_provider_and_leaves_nothing_running(end: str, tmp_path: Path) -> None:
    new_key(tmp_path, "node")
    secret, pushed = Keypair.generate().to_base58(), Keypair.generate().wallet
    (tmp_path / "odd_registry.py").write_text(SOURCE.format(secret=secret, pushed=pushed))
    file = tmp_path / "node.yaml"
    file.write_text("key_file: node.key\nauthorized_wallets: odd_registry:registry\n")
    with running("registry", "watch", "--interval", 0.1, "-c", file) as watch:
        said = line_of(watch.stderr, "listening to the registry failed")
        assert "ValueError: no answer to (hidden); again in 0.1 s" in said
        line_of(watch.stdout, f"+ {pushed}")
        if end == "ctrl-c":
            watch.send_signal(signal.SIGINT)
        elif watch.stdout is not None:
            watch.stdout.close()
        assert watch.wait(WAIT) == 0
        assert line_of(watch.stderr, "left with") == "left with 0 calls"


def test_watch_wants_a_pause_between_its_readings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "watch", "--interval", "0"]) == 2
    assert "--interval" in capsys.readouterr().err


FAILING = """
SECRET = "{secret}"

class Registry:
    async def __aenter__(self):
        if {opens}:
            return self
        raise OSError("no answer to " + SECRET)

    async def __aexit__(self, *_):
        pass

    async def wallets(self):
        raise OSError("no answer to " + SECRET)

registry = Registry()
"""


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize("command", ["list", "check"])
def test_what_a_provider_raises_is_shown_without_secrets(
    command: str, opens: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_key(tmp_path, "node")
    secret = Keypair.generate().to_base58()
    module = f"failing_{command}_{opens}"
    (tmp_path / f"{module}.py").write_text(FAILING.format(secret=secret, opens=opens))
    file = tmp_path / "node.yaml"
    file.write_text(f"key_file: node.key\nauthorized_wallets: {module}:registry\n")
    assert main(["registry", command, "-c", str(file)]) != 0
    shown = capsys.readouterr()
    assert "OSError: no answer to (hidden)" in shown.err
    assert secret not in shown.err + shown.out
