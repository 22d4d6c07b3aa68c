"""A process ends as it should in whatever state its nodes are: no crash, no hang, a warning for what was forgotten."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAVE = Path(__file__).parent / "scripts" / "leave.py"

DEADLINE = 60.0
"""Seconds after which a process hangs: it takes one, and twenty on a machine that is very busy."""

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


COMMAND = [sys.executable, "-X", "faulthandler", "-W", "always::ResourceWarning", str(LEAVE)]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def leave(way: str) -> None:
    """Let a process end this way."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, way], stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT) as process:
        with abort(process.pid):
            stdout, stderr = process.communicate()
        check(way, process.returncode, stdout, stderr)


def leave_often(way: str, runs: int, folder: Path) -> float:
    """Let one process after the other end this way, all copies of one; return the seconds that the longest took."""
    files = (folder / "stdout", folder / "stderr")
    pipe = subprocess.PIPE
    longest = 0.0
    with subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT, bufsize=1) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for _ in range(runs):
            began = time.monotonic()
            print(json.dumps([way, *map(str, files)]), file=parent.stdin)
            with abort(int(parent.stdout.readline())):
                status = int(parent.stdout.readline())
            longest = max(longest, time.monotonic() - began)
            check(way, status, *(file.read_text() for file in files))
            for file in files:
                file.unlink()
        parent.stdin.close()
    assert parent.returncode == 0
    return longest


@contextmanager
def abort(pid: int) -> Iterator[None]:
    """End the process when it hangs; it tells where."""
    timer = threading.Timer(DEADLINE, os.kill, (pid, signal.SIGABRT))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def check(way: str, status: int, stdout: str, stderr: str) -> None:
    """Check what became of a process that has ended this way."""
    told = f"{way!r}: exit status {status}\n{stderr}"
    assert status == WAYS[way], told  # a signal would be negative
    assert ("LookupError" in stderr) is (way == "exception"), told
    assert stderr.count("Traceback") == (1 if way == "exception" else 0), told
    assert "Exception ignored" not in stderr, told
    assert "Fatal Python error" not in stderr, told
    assert "has failed" not in stderr.replace("the program has failed", ""), told
    assert ("child" in stdout) is way.startswith("fork"), told
    assert (stderr.count("unclosed node") == 1) is (way in FORGOTTEN), told


def ways() -> list[object]:
    needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    return [pytest.param(way, marks=[needs_fork] if way.startswith("fork") else []) for way in WAYS]


@pytest.mark.timeout(2 * DEADLINE)
@pytest.mark.parametrize("way", ways())
def test_a_process_ends_cleanly(way: str) -> None:
    for _ in range(FEW):
        leave(way)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
def test_a_process_ends_cleanly_five_hundred_times(way: str, tmp_path: Path) -> None:
    print(f"{MANY} x {way!r}: the longest took {leave_often(way, MANY, tmp_path):.1f} s")


BLOCKS = 0.5
"""Seconds for which no callback may hold up the loop; asyncio tells of those above 0.1."""


@pytest.mark.timeout(150)
def test_the_core_path_runs_in_the_development_mode_with_asyncio_debug(tmp_path: Path) -> None:
    log, control = tmp_path / "log", tmp_path / "test_control.py"
    control.write_text(f"import time\n\nasync def test_that_blocks_the_loop():\n    time.sleep({2 * BLOCKS})\n")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error", "-k", "not uvloop"]
    configuration = str(Path(__file__).parents[2] / "pyproject.toml")
    # The plugin of asyncio sets the mode of its loops itself, whatever PYTHONASYNCIODEBUG says.
    options += ["-c", configuration, "-o", "asyncio_debug=true", f"--log-file={log}", "--log-file-level=WARNING"]
    core_path = str(Path(__file__).with_name("test_publish_subscribe.py"))
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "pytest", *options, core_path, str(control)],
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
    slow = [float(seconds) for seconds in re.findall(r"took ([\d.]+) seconds", log.read_text())]
    assert [seconds for seconds in slow if seconds >= BLOCKS] == [pytest.approx(2 * BLOCKS, rel=0.5)], slow
