"""Bootstrap entries made of addresses."""

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


def test_announced_addresses_take_the_place_of_all_others() -> None:
    listening, public = ["/ip4/172.17.0.2/tcp/4002"], ["/ip4/198.51.100.1/tcp/4002"]
    announced = ("/dns/node.example.org/udp/4001/quic-v1", "/dns/node.example.org/tcp/14002", "/ip4/192.0.2.1/tcp/4002")
    found = bootstrap_entries(WALLET, listening, announced=announced, public=public)
    assert found == [f"{WALLET}@node.example.org:4001:14002", f"{WALLET}@192.0.2.1:-:4002"]
    assert bootstrap_entries(WALLET, [], announced=announced) == [], "it does not listen"


def test_where_it_is_reached_comes_before_where_it_listens() -> None:
    listening = ["/ip4/10.0.0.2/udp/4001/quic-v1", "/ip4/10.0.0.2/tcp/4002"]
    public = ["/ip4/198.51.100.1/tcp/14002", "/ip4/198.51.100.1/udp/14001/quic-v1"]
    found = bootstrap_entries(WALLET, listening, public=public)
    assert found == [f"{WALLET}@198.51.100.1:14001:14002", f"{WALLET}@10.0.0.2:4001:4002"]
