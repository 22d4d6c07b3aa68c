"""How many threads the network has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process say which cores it uses")

PROGRAM = """
import asyncio, os, sys

cores = sorted(os.sched_getaffinity(0))[:int(sys.argv[1])]
os.sched_setaffinity(0, cores)

from depinmesh import connect
from tests.support import alone, eventually, threads_of_ours

def workers():
    return threads_of_ours().count("depinmesh-net")

async def main():
    async with connect(**alone()):
        # A thread of the same name that looked up something waits for more of it, for ten seconds.
        await eventually(lambda: workers() == min(len(cores), 2))
        print(len(cores))

asyncio.run(main())
"""


@pytest.mark.parametrize("most", [1, 1_000])
def test_a_process_has_as_many_network_threads_as_cores_and_two_at_most(most: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", PROGRAM, str(most)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=25, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    assert 1 <= int(run.stdout) <= most
