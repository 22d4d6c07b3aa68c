"""The documents: every Python block runs, every link leads somewhere, every generated part is that of the code."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, connect
from tests.commands import line_of
from tests.support import LISTEN, WAIT, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def blocks() -> Iterator[Any]:
    """Return every block with its page and line."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            yield pytest.param(match[1], id=f"{page.name}:{line}")


@pytest.mark.parametrize("code", list(blocks()))
async def test_a_python_block_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole program by itself; anything else inside of a program that has two connected nodes and a key file."""
    monkeypatch.chdir(tmp_path)
    ada, bob = Keypair.generate(), Keypair.generate()
    _write_files(tmp_path, ada)
    if "asyncio.run(" in code:
        await asyncio.to_thread(_run_program, code, tmp_path)
        return
    listed = [ada.wallet, bob.wallet]
    async with connect(**fields_of(ada, listed)) as db:
        known = db.node.bootstrap_entries()
        async with connect(**fields_of(bob, listed, bootstrap_nodes=known)) as other:
            await db.wait_ready(WAIT)
            names = {
                "ada": ada,
                "bob": bob,
                "listed": listed,
                "known": known,
                "local": LISTEN,
                "db": db,
                "other": other,
            }
            async with asyncio.timeout(WAIT):
                await _run_inside(code, {**names, "node": db.node, "__name__": "page"})


async def _run_inside(code: str, names: dict[str, Any]) -> None:
    compiled = compile(code, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)  # the code of our own documents
    if inspect.isawaitable(result):
        await result


def _run_program(code: str, folder: Path) -> None:
    program = folder / "program.py"
    program.write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment["PYTHONUNBUFFERED"] = "1"
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        try:
            shown = "" if "until_stopped(" not in code else line_of(run.stdout, "@")
            if shown:
                run.terminate()  # it runs until then
            out, err = run.communicate(timeout=WAIT)
        finally:
            run.kill()
    assert run.returncode == 0, err
    assert shown or out, "a first program shows something"


def _write_files(folder: Path, key: Keypair) -> None:
    file = folder / "node.key"
    file.touch(mode=0o600)
    file.write_text(key.to_base58())
    text = f"""
        key_file: node.key
        authorized_wallets: [{key.wallet}]
        listen: {{hosts: 127.0.0.1, quic_port: 0, tcp_port: 0}}
    """
    (folder / "node.yaml").write_text(textwrap.dedent(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_inside_of_the_repository_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(_without_code(page)):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page.name}: {target}"


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    listed = set(re.findall(r"([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_the_generated_parts_are_those_of_the_code() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout}: run `make docs-tables`"


def _without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
