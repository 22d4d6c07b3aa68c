"""Bootstrap entries made of listen addresses."""

from __future__ import annotations

import pytest

from depinmesh import BootstrapNode, Keypair
from depinmesh._addresses import bootstrap_entries

WALLET = Keypair.from_seed(bytes(range(32))).wallet
RELAYED = f"/ip4/192.0.2.1/tcp/4002/p2p/{WALLET.peer_id}/p2p-circuit/p2p/{WALLET.peer_id}"


@pytest.mark.parametrize(
    ("addresses", "entries"),
    [
        ([], []),
        (["/ip4/192.0.2.1/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/4002"], ["192.0.2.1:4001:4002"]),
        (["/ip4/192.0.2.1/udp/4001/quic-v1"], ["192.0.2.1:4001:-"]),
        (["/ip6/2001:db8::1/tcp/4002"], ["[2001:db8::1]:-:4002"]),
        (["/dns4/node.example.org/tcp/4002"], ["node.example.org:-:4002"]),
        (["/ip4/127.0.0.1/tcp/4002"], ["127.0.0.1:-:4002"]),
        (["/ip4/127.0.0.1/tcp/4002", "/ip4/192.0.2.1/tcp/4002"], ["192.0.2.1:-:4002"]),
        (["/ip4/0.0.0.0/tcp/4002", RELAYED], []),
        ([f"/ip4/192.0.2.1/tcp/4002/p2p/{WALLET.peer_id}"], ["192.0.2.1:-:4002"]),
    ],
)
def test_there_is_an_entry_for_each_host_that_others_can_reach(addresses: list[str], entries: list[str]) -> None:
    found = bootstrap_entries(WALLET, addresses)
    assert found == [f"{WALLET}@{entry}" for entry in entries]
    assert [str(BootstrapNode.parse(entry)) for entry in found] == found
