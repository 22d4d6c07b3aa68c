"""The search for secrets finds what it is meant to find."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from depinmesh import Keypair, _base58
from tests.secrecy import Secrets, encodings

KEY = Keypair.from_seed(bytes(range(100, 132)))
SECRET = _base58.decode(KEY.to_base58())
SPELLINGS = {
    **encodings(SECRET),
    "hex": SECRET.hex().upper().encode(),
    "base64": base64.urlsafe_b64encode(SECRET),
    "json": str(list(SECRET)).encode(),
    "decimal": "\n".join(map(str, SECRET)).encode(),
}


@pytest.mark.parametrize("part", ["key", "seed"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_a_secret_in_the_middle_of_output_is_found(name: str, part: str) -> None:
    secrets = Secrets()
    secrets.add(KEY)
    secrets.add(Keypair.generate())
    noise = f"{KEY.wallet} {KEY.peer_id} {list(bytes(KEY.wallet))} " * 50
    assert secrets.found(noise.encode()) == set()
    shown = (SPELLINGS if part == "key" else encodings(SECRET[:32]))[name]
    found = secrets.found(noise.encode() + b'"key": ' + shown + b" " + noise.encode())
    assert name in found


def test_the_six_encodings_are_those_that_others_make() -> None:
    found = encodings(SECRET)
    assert list(found) == ["raw", "hex", "base58", "base64", "json", "decimal"]
    assert found["base58"].decode() == KEY.to_base58()
    assert base64.b64decode(found["base64"] + b"==") == SECRET


def test_a_test_that_shows_a_secret_fails(tmp_path: Path) -> None:
    """However it does: printed, in a failure, in a log, by a process that is read to its end, or line by line."""
    (tmp_path / "test_all.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.secrecy", "-p", "no:cacheprovider", "-q"]
    run = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), str(tmp_path / "test_all.py")],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
        cwd=ROOT,
    )
    shown = set(re.findall(r"SECRET SHOWN as base58 by \S*::test_shows_by_(\w+), in its part call", run.stdout))
    assert shown == {"print", "failure", "log", "process", "line"}, run.stdout
    assert "2 passed" in run.stdout


ROOT = Path(__file__).parents[2]
TESTS = """
import logging, subprocess, sys
import pytest
from depinmesh import Keypair
from depinmesh.logs import StdlibLogger

COMMAND = [sys.executable, "-m", "depinmesh", "keygen"]

def test_shows_by_print():
    print(Keypair.generate().to_base58())

def test_shows_by_failure():
    assert Keypair.generate().to_base58() == ""

def test_shows_by_log():
    StdlibLogger(logging.getLogger("x")).log(10, "text", {"key": Keypair.generate().to_base58()})

def test_shows_by_process():
    Keypair(subprocess.run(COMMAND, capture_output=True, text=True).stdout.strip())

def test_shows_by_line():
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            Keypair(line.strip())

@pytest.mark.shows_secrets("on purpose")
def test_may():
    print(Keypair.generate().to_base58())

def test_does_not():
    print(Keypair.generate())
"""
