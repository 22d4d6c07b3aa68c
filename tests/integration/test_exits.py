"""A process ends as it should in whatever state its nodes are: no crash, no hang, a warning for what was forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LEAVE = Path(__file__).parent / "scripts" / "leave.py"

DEADLINE = 10.0
"""Seconds that one process may take."""

FEW, MANY = 3, 500

WAYS = {
    "normal": 0,
    "exception": 1,
    "sys.exit": 3,
    "sys.exit unclosed": 3,
    "never closed": 0,
    "daemon thread": 0,
    "thread": 0,
    "os._exit": 7,
    "atexit": 0,
    "fork": 0,
}
FORGOTTEN = {"exception", "sys.exit unclosed", "never closed"}
"""Those whose node is collected unclosed; what a daemon thread refers to never is."""


def leave(way: str, runs: int) -> None:
    """Let processes end this way, one after the other."""
    path = os.pathsep.join(path for path in sys.path if path)
    for number in range(runs):
        run = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", "always::ResourceWarning", str(LEAVE), way],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
        told = f"run {number} of {way!r}: exit status {run.returncode}\n{run.stderr}"
        assert run.returncode == WAYS[way], told  # a signal would be negative
        assert ("LookupError" in run.stderr) is (way == "exception"), told
        assert run.stderr.count("Traceback") == (1 if way == "exception" else 0), told
        assert "Exception ignored" not in run.stderr, told
        assert "Fatal Python error" not in run.stderr, told
        assert "has failed" not in run.stderr.replace("the program has failed", ""), told
        assert ("child" in run.stdout) is way.startswith("fork"), told
        assert (run.stderr.count("unclosed node") == 1) is (way in FORGOTTEN), told


def ways() -> list[object]:
    needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    return [pytest.param(way, marks=[needs_fork] if way.startswith("fork") else []) for way in WAYS]


@pytest.mark.parametrize("way", ways())
def test_a_process_ends_cleanly(way: str) -> None:
    leave(way, FEW)


@pytest.mark.slow
@pytest.mark.timeout(MANY * DEADLINE)
@pytest.mark.parametrize("way", ways())
def test_a_process_ends_cleanly_five_hundred_times(way: str) -> None:
    leave(way, MANY)


@pytest.mark.timeout(150)
def test_the_core_path_runs_in_the_development_mode_with_asyncio_debug() -> None:
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error", "-k", "not uvloop"]
    core_path = str(Path(__file__).with_name("test_publish_subscribe.py"))
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "pytest", *options, core_path],
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
        env={**os.environ, "PYTHONASYNCIODEBUG": "1", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
    assert "took" not in run.stderr, run.stderr  # a callback that held up the loop
