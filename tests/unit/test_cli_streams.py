"""The commands where standard streams are closed, full, or short of characters."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from depinmesh import Keypair
from depinmesh.cli import main

COMMAND = [sys.executable, "-m", "depinmesh"]
FULL = Path("/dev/full")

closing = pytest.mark.skipif(sys.platform == "win32", reason="the shell of Windows closes nothing")


def shell(redirections: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does with these redirections."""
    words = ["sh", "-c", f'exec "$@" {redirections}', "sh", *COMMAND, *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@closing
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["config", "schema"]])
def test_a_closed_stream_is_an_empty_one(closed: str, arguments: list[str]) -> None:
    done = shell(closed, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.split())


@closing
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_talk_gets_among_the_data(closed: str, tmp_path: Path) -> None:
    file = tmp_path / "node.key"
    assert shell(closed, "keygen", "--output", str(file)).returncode == 0
    Keypair(file.read_text().strip())
    if closed == "2>&-":
        Keypair(shell(closed, "keygen").stdout.strip())


@pytest.mark.skipif(not FULL.exists(), reason="there is no full disk here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["keygen"], ["keygen", "--help"], ["--help"], ["config", "schema"]])
def test_a_full_disk_is_one_line(arguments: list[str], unbuffered: str) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        "depinmesh: stdout cannot be written: No space left on device",
    )
    assert len(done.stderr.splitlines()) == 1


def test_an_error_of_something_else_is_not_one_of_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("depinmesh.cli.keygen.run", fail)
    before = sys.stdout
    with pytest.raises(OSError, match="No space left"):
        main(["keygen"])
    assert sys.stdout is before


def test_a_table_is_shown_as_far_as_stdout_has_its_characters(tmp_path: Path) -> None:
    key = tmp_path / "node.key"
    assert main(["keygen", "--output", str(key)]) == 0
    words = [
        "config",
        "show",
        "--set",
        f"key_file={key}",
        "--set",
        "authorized_wallets=",
        "--set",
        "database=Z\u00fcrich",
    ]
    done = subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Z\\xfcrich" in done.stdout
