"""What a node costs that has nothing to do."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import pytest

from depinmesh import Keypair
from depinmesh.testing import MockRegistry, network
from tests.program import Program
from tests.support import fields_of

SCRIPT = Path(__file__).with_name("idle.py")
PEERS = 10
SHARE = 0.03
"""Of a core, at most: three times the 1 % of scenario L6, as the core may be compiled without optimisation."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.slow)])
async def test_an_idle_node_repeats_no_log_line_within_a_second(seconds: int) -> None:
    key, registry = Keypair.generate(), MockRegistry()
    registry.add(key.wallet)
    async with network(PEERS, registry=registry) as databases:
        wallets = [key.wallet, *(one.node.wallet for one in databases)]
        entries = [entry for one in databases for entry in one.node.bootstrap_entries()]
        config = fields_of(key, wallets, bootstrap_nodes=entries, private_key=key.to_base58())
        async with Program.run(sys.executable, SCRIPT, json.dumps(config), PEERS, seconds) as node:
            done = await node.wait("done", within=seconds + 60)
            settled = node.said("settled")[0]["at"]
            lines = [(line["text"], line["at"]) for line in node.said("log") if line["at"] >= settled]
    assert node.said("log"), "at its start it says something"
    assert done["peers"] == PEERS
    for _, same in itertools.groupby(sorted(lines), key=lambda line: line[0]):
        times = [at for _, at in same]
        assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times)), lines
    print(f"idle with {PEERS} peers for {seconds} s: {done['share']:.2%} of a core, {len(lines)} log lines")
    assert 0 < done["share"] <= SHARE
