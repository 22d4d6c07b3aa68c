"""The documents: every line of a shell block runs, or stands in a table that says why not."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import socket
import subprocess
import textwrap
import tomllib
from typing import TYPE_CHECKING, Any, cast

import pytest

from depinmesh import Keypair
from depinmesh.cli import COMMANDS
from tests.commands import COMMAND, environment, line_of, running
from tests.integration.test_docs import PAGES, ROOT
from tests.support import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`depinmesh ([a-z]+)\b[^`]*`")
_MAKE = re.compile(r"`make\s+([a-z-]+)")
PATIENCE = 60.0
"""Seconds that a command may take: a bench sends 10,000 events, on whatever machine this is."""
_TOPICS = ("rooms", "depinmesh-bench")


def blocks() -> Iterator[Any]:
    """Return every block with its page and line."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            yield pytest.param(textwrap.dedent(match[2]), id=f"{page.name}:{line}")


def is_target(*words: str) -> None:
    """Check that make has it."""
    targets = re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words) <= set(targets)


def are_extras(*words: str) -> None:
    """Check that the package has what it asks for in brackets."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = re.findall(r"(?:depinmesh|dist/depinmesh-\*\.whl\))\[(.*)\]", " ".join(words))
    assert set(wanted.split(",")) <= set(extras)


NOT_RUN: dict[str, tuple[str, Callable[..., None]]] = {
    "make": ("takes minutes, and `make test` is what runs this test", is_target),
    "source .venv/bin/activate": ("changes the shell that reads it", lambda *_: None),
    "python3 -m venv": ("needs nothing of ours, and writes outside of the clone", lambda *_: None),
    "/opt/depinmesh/bin/pip install": ("writes outside of the clone, and asks the package index", are_extras),
}
"""What is not run, the reason, and what is checked of its other words all the same."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A node that runs, and a configuration of another that knows it, with two listed keys for tools."""
    keys = {name: Keypair.generate() for name in ("first", "node", "tool", "tool2")}
    for name, key in keys.items():
        (tmp_path / f"{name}.key").touch(mode=0o600)
        (tmp_path / f"{name}.key").write_text(key.to_base58())
    topics = [word for topic in _TOPICS for word in ("--topic", topic)]
    _configure(tmp_path / "first.yaml", "first", keys, [])
    with running("node", "-c", tmp_path / "first.yaml", *topics) as first:
        entry = line_of(first.stdout, "@127.0.0.1:")
        for file in ("node.yaml", "migration.yaml"):
            _configure(tmp_path / file, "node", keys, [entry])
        yield tmp_path


def _configure(file: Path, name: str, keys: dict[str, Keypair], entries: list[str]) -> None:
    listen = {
        "hosts": "127.0.0.1",
        "quic_port": free_port(socket.SOCK_DGRAM),
        "tcp_port": free_port(socket.SOCK_STREAM),
    }
    file.write_text(
        f"key_file: {name}.key\n"
        f"authorized_wallets: {json.dumps([key.wallet for key in keys.values()])}\n"
        f"bootstrap_nodes: {json.dumps(entries)}\n"
        f"listen: {json.dumps(listen)}\n"
    )


@pytest.mark.timeout(180)
@pytest.mark.parametrize("block", list(blocks()))
def test_a_shell_block_runs(block: str, request: pytest.FixtureRequest) -> None:
    commands = [words for line in block.splitlines() if (words := shlex.split(line, comments=True))]
    ours = [words[1:] for words in commands if words[0] == "depinmesh"]
    for words in commands:
        if words[0] != "depinmesh":
            (start,) = (start for start in NOT_RUN if shlex.join(words).startswith(start))
            _, check = NOT_RUN[start]
            check(*words[len(start.split()) :])
    if ours:
        _run(ours, request.getfixturevalue("folder"))


def _run(commands: list[list[str]], folder: Path) -> None:
    """Run them as somebody would who has a terminal for each that goes on until Ctrl-C."""
    open_ones: list[tuple[str | None, subprocess.Popen[str]]] = []
    with contextlib.ExitStack() as stack:
        for words in commands:
            if words[0] == "keygen":
                (folder / words[words.index("--output") + 1]).unlink()  # it makes what is not there
            words = [f"127.0.0.1:{free_port(socket.SOCK_STREAM)}" if "127.0.0.1:" in word else word for word in words]  # noqa: PLW2901
            key = words[words.index("--key") + 1] if "--key" in words else None
            for other in [one for one in open_ones if one[0] == key]:
                open_ones.remove(other)
                _end(other[1])
            process = subprocess.Popen(
                [*COMMAND, *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                cwd=folder,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            if words[0] in ("node", "sub") or words[:2] == ["bench", "sub"]:
                line_of(process.stderr, "starting to listen" if words[0] == "node" else "for")
                open_ones.append((key, process))
            else:
                _, shown = process.communicate(timeout=PATIENCE)
                assert process.returncode == 0, f"{words}: {shown}"
        for _, process in open_ones:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if "bench" not in cast("list[str]", process.args):  # which ends by itself
        process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, f"{process.args!r}: {shown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_that_the_text_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(_SPAN.findall(text)) <= set(COMMANDS)
    is_target(*_MAKE.findall(text))
