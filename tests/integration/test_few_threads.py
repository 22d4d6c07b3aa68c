"""Nodes of a process that may have no more threads for a while, as under `TasksMax` or the limit of a container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import WAIT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="missing: root on Linux, to have a user of its own"
)

SCRIPT = Path(__file__).parent / "scripts" / "few_threads.py"


def run(what: str) -> list[str]:
    """Run the script, which must not hang, and return its lines."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(SCRIPT), what]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=3 * WAIT, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.parametrize("threads", range(1, 8))
def test_a_node_starts_or_says_that_it_has_no_threads(threads: int) -> None:
    first, second = run(str(threads))
    enough = 7  # the control
    assert first == "started" if threads >= enough else first.startswith(("CoreError", "started")), first
    assert first == "started" or "thread" in first
    assert second == "started again"


@pytest.mark.slow
def test_a_registry_is_read_again_when_there_are_threads_again() -> None:
    refused, again = run("read")
    assert refused.endswith("the list could not be checked")
    assert again == "read again running False"
