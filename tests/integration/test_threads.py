"""How many threads the network has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process say which cores it uses")

SCRIPT = Path(__file__).parent / "scripts" / "threads.py"


@pytest.mark.parametrize("most", [1, 1_000])
def test_a_process_has_as_many_network_threads_as_cores_and_two_at_most(most: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(SCRIPT), str(most)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=25, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    cores, threads = map(int, run.stdout.split())
    assert cores <= most
    assert threads == min(cores, 2)
