"""The memory of a process that has closed its node and dropped the key: nobody who reads it can sign."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, _base58
from tests.program import Program
from tests.security.memory import forms, places

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SCRIPT = Path(__file__).parent / "scripts" / "keyholder.py"

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="memory is a file on Linux alone"),
    pytest.mark.shows_secrets("the program says which key it has made"),
]


@asynccontextmanager
async def keyholder(*arguments: object) -> AsyncIterator[Program]:
    async with Program.run(sys.executable, SCRIPT, *arguments) as program:
        yield program


def found(program: Program, wanted: dict[str, bytes]) -> list[str]:
    """Search the program, which waits for a word."""
    try:
        return places(program.process.pid, wanted)
    except PermissionError:
        pytest.skip("SKIPPED: this system lets nobody read the memory of another process (kernel.yama.ptrace_scope)")


async def test_y14_a_key_that_was_made_is_nowhere_in_memory_after_close() -> None:
    async with keyholder() as program:
        secret = _base58.decode((await program.wait("made"))["secret"])
        wanted = forms(secret[:32])  # not the text, which the program has printed
        assert found(program, wanted)
        program.tell("go")
        await program.wait("used")
        assert found(program, wanted)
        program.tell("go")
        await program.wait("forgotten")
        assert found(program, wanted) == []


@pytest.mark.parametrize("form", ["base58", "json"])
async def test_y14_a_key_that_was_read_from_a_file_is_nowhere_in_memory_after_close(tmp_path: Path, form: str) -> None:
    text = Keypair.generate().to_base58()
    secret = _base58.decode(text)
    file = tmp_path / "node.key"
    file.touch(mode=0o600)
    file.write_text(text if form == "base58" else json.dumps(list(secret)))
    numbers = json.dumps(list(secret[:32])).removesuffix("]")
    wanted = {**forms(secret[:32]), "base58": text.encode(), "json": numbers.encode()}
    async with keyholder(file) as program:
        await program.wait("used")
        assert found(program, wanted)
        program.tell("go")
        await program.wait("forgotten")
        assert found(program, wanted) == []
