"""Bootstrap nodes, their text forms, and multiaddrs."""

import copy
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from depinmesh import BootstrapNode, ConfigError, Keypair, Wallet
from depinmesh.bootstrap import normalise_nodes
from depinmesh.multiaddr import parse_multiaddr

KEY, OTHER = (Keypair.from_seed(bytes([number]) * 32) for number in (1, 2))
W, P = KEY.wallet, KEY.peer_id
NODE = BootstrapNode(W, "203.0.113.7")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        (f"{W}@203.0.113.7", NODE),
        (f"{W}@203.0.113.7:5", BootstrapNode(W, "203.0.113.7", 5)),
        (f"{W}@203.0.113.7:5:6", BootstrapNode(W, "203.0.113.7", 5, 6)),
        (f"{W}@203.0.113.7:5:-", BootstrapNode(W, "203.0.113.7", 5, None)),
        (f"{W}@203.0.113.7:-", BootstrapNode(W, "203.0.113.7", None)),
        (f"{W}@203.0.113.7:-:6", BootstrapNode(W, "203.0.113.7", None, 6)),
        (f"{W}@[::1]", BootstrapNode(W, "::1")),
        (f"{W}@[2001:DB8:0::1]:5:6", BootstrapNode(W, "2001:db8::1", 5, 6)),
        (f"{W}@Node-1.my_fleet.Example.", BootstrapNode(W, "node-1.my_fleet.example")),
        (f"{W}@localhost:65535:1", BootstrapNode(W, "localhost", 65535, 1)),
        (f"/ip4/203.0.113.7/udp/5/quic-v1/p2p/{P}", BootstrapNode(W, "203.0.113.7", 5, None)),
        (f"/ip4/203.0.113.7/tcp/6/p2p/{P}", BootstrapNode(W, "203.0.113.7", None, 6)),
        (f"/ip6/2001:db8:0::1/tcp/6/p2p/{P}", BootstrapNode(W, "2001:db8::1", None, 6)),
        (f"/dns/a.example/udp/5/quic-v1/p2p/{P}", BootstrapNode(W, "a.example", 5, None)),
        (f"/dns4/a.example/tcp/6/p2p/{P}", BootstrapNode(W, "a.example", None, 6)),
        (f"/dns6/a.example/tcp/6/p2p/{P}", BootstrapNode(W, "a.example", None, 6)),
    ],
)
def test_text_forms(text: str, node: BootstrapNode) -> None:
    """A node is read from wallet@host:quic:tcp and from multiaddrs, in canonical form."""
    assert BootstrapNode.parse(text) == node
    assert BootstrapNode.parse(str(node)) == node
    assert type(node.wallet) is Wallet


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not of the form"),
        ("203.0.113.7:4001:4002", "not of the form"),
        (f"{W}@", "not of the form"),
        ("@203.0.113.7", "not of the form"),
        (f"{W}@::1", "too many colons (an IPv6 address stands in brackets"),
        (f"{W}@2001:db8::1", "too many colons"),
        (f"{W}@a:1:2:3", "too many colons"),
        (f"{W}@:1:2", "too many colons"),
        (f"{W}@[::1", "no IPv6 address between its brackets"),
        (f"{W}@[::1]4001", "no IPv6 address between its brackets"),
        (f"{W}@[1.2.3.4]:1", "no IPv6 address between its brackets"),
        (f"{W}@[a:b]", "neither an IPv4 or IPv6 address nor a DNS name"),
        (f"{W}@a:", "'' for a port"),
        (f"{W}@a:0", "'0' for a port"),
        (f"{W}@a:65536", "'65536' for a port"),
        (f"{W}@a:99999999999", "for a port"),
        (f"{W}@a:+1", "for a port"),
        (f"{W}@a: 1", "for a port"),
        (f"{W}@a:quic", "'quic' for a port"),
        (f"{W}@a:\u0661", "for a port"),  # a digit, but not of ASCII
        (f"{W}@a:-:-", "quic_port and tcp_port are both None"),
        ("wallet@a", "wallet = 'wallet': "),
        (f"{P}@a", "wallet = "),
        (f"{'1' * 32}@a", "wallet = "),
        (f"{W}@1.2.3", "host = '1.2.3': is neither"),
        (f"{W}@256.1.1.1", "host = '256.1.1.1': is neither"),
        (f"{W}@a b", "host = 'a b': is neither"),
        (f"{W}@-a", "host"),
        (f"{W}@a..b", "host"),
        (f"{W}@{'a' * 64}", "host"),
        (f"{W}@{'a.' * 127}a", "host"),
        (f"{W}@bücher.example", "xn-- form"),
        (f"{W}@a@b", "host"),
        (f"{W}@0.0.0.0", "that nobody can be reached at"),
        (f"{W}@[::]:1:2", "that nobody can be reached at"),
        (f"{W}@224.0.0.1", "that nobody can be reached at"),
        (f"{W}@[fe80::1%eth0]", "with a zone"),
        ("/", "known form"),
        ("/ip4", "known form"),
        (f"/ip5/1.2.3.4/tcp/1/p2p/{P}", "known form"),
        (f"/ip4/1.2.3.4/p2p/{P}", "no transport"),
        (f"/ip4/1.2.3.4/udp/1/p2p/{P}", "no transport"),
        (f"/ip4/1.2.3.4/udp/1/quic/p2p/{P}", "no transport"),
        (f"/ip4/1.2.3.4/tcp/1/ws/p2p/{P}", "not supported: /ws/"),
        (f"/ip4/1.2.3.4/tcp/1/p2p/{P}/p2p-circuit", "not supported"),
        (f"/ip4/1.2.3.4/tcp/1/p2p/{P}/", "not supported"),
        (f"/ip4/::1/tcp/1/p2p/{P}", "/ip4 wants another kind of host"),
        (f"/ip6/1.2.3.4/tcp/1/p2p/{P}", "/ip6 wants another kind of host"),
        (f"/dns/1.2.3.4/tcp/1/p2p/{P}", "/dns wants another kind of host"),
        (f"/ip4/1.2.3.4/tcp/0/p2p/{P}", "for a port"),
        ("/ip4/1.2.3.4/tcp/1", "does not say which node"),
        (f"/ip4/1.2.3.4/tcp/1/p2p/{W}", "peer id that is not usable"),
        ("/ip4/1.2.3.4/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "peer id that is not usable"),
        (f"/dnsaddr/a.example/p2p/{P}", "has no ports"),
    ],
)
def test_wrong_text(text: str, reason: str) -> None:
    """Wrong text is a ConfigError that says what is wrong with it."""
    with pytest.raises(ConfigError, match=re.escape(reason)):
        BootstrapNode.parse(text)


def test_fields() -> None:
    """A node is its wallet, its host and two ports with the usual defaults; either port may be None."""
    assert (NODE.wallet, NODE.host, NODE.quic_port, NODE.tcp_port) == (W, "203.0.113.7", 4001, 4002)
    assert BootstrapNode(Pubkey.from_string(W), "203.0.113.7") == NODE
    assert BootstrapNode(wallet=bytes(W), host="203.0.113.7", tcp_port=None).tcp_port is None
    assert len({NODE, BootstrapNode(W, "203.0.113.7"), BootstrapNode(W, "203.0.113.8")}) == 2
    for other in (copy.copy(NODE), copy.deepcopy(NODE), pickle.loads(pickle.dumps(NODE))):
        assert other == NODE
    with pytest.raises(AttributeError):
        NODE.host = "::1"  # type: ignore[misc]


def test_all_wrong_fields_at_once() -> None:
    """Every wrong field of a node is reported by one error."""
    with pytest.raises(ConfigError) as caught:
        BootstrapNode("x", "a b", 0, "4002")  # type: ignore[arg-type]
    assert [problem.path for problem in caught.value.errors] == ["wallet", "host", "quic_port", "tcp_port"]
    with pytest.raises(ConfigError, match="quic_port"):
        BootstrapNode(W, "a", True)


@pytest.mark.parametrize(
    ("node", "text", "addresses"),
    [
        (NODE, f"{W}@203.0.113.7:4001:4002", ["/ip4/203.0.113.7/udp/4001/quic-v1", "/ip4/203.0.113.7/tcp/4002"]),
        (BootstrapNode(W, "::1", 1, 2), f"{W}@[::1]:1:2", ["/ip6/::1/udp/1/quic-v1", "/ip6/::1/tcp/2"]),
        (BootstrapNode(W, "a.b", 1, None), f"{W}@a.b:1:-", ["/dns/a.b/udp/1/quic-v1"]),
        (BootstrapNode(W, "a.b", None, 2), f"{W}@a.b:-:2", ["/dns/a.b/tcp/2"]),
    ],
)
def test_text_and_addresses(node: BootstrapNode, text: str, addresses: list[str]) -> None:
    """A node has one canonical text, and one address a transport, QUIC first."""
    assert str(node) == text
    assert node.multiaddrs() == [f"{address}/p2p/{P}" for address in addresses]


ports = st.none() | st.integers(1, 65535)
hosts = st.ip_addresses().filter(lambda ip: not ip.is_unspecified and not ip.is_multicast).map(str) | st.from_regex(
    r"[a-z][a-z0-9]{0,20}(\.[a-z]{2,8}){0,3}", fullmatch=True
)


@given(st.binary(min_size=32, max_size=32), hosts, ports, ports)
def test_round_trip(seed: bytes, host: str, quic: int | None, tcp: int | None) -> None:
    """Every node survives its text, and each of its addresses names it."""
    if quic is None and tcp is None:
        tcp = 1
    node = BootstrapNode(Keypair.from_seed(seed).wallet, host, quic, tcp)
    assert BootstrapNode.parse(str(node)) == node
    for address in node.multiaddrs():
        parsed = BootstrapNode.parse(address)
        assert (parsed.wallet, parsed.host) == (node.wallet, node.host)


@given(st.text() | st.text(alphabet="/ip46dnsatcpuq-v1.:@[]" + W[:4]))
def test_any_text_is_a_node_or_a_config_error(text: str) -> None:
    """No text makes the parser fail in another way."""
    for candidate in (text, f"{W}@{text}", f"/ip4/{text}", f"/dns/a/tcp/1/{text}"):
        try:
            node = BootstrapNode.parse(candidate)
        except ConfigError:
            continue
        assert BootstrapNode.parse(str(node)) == node


def test_nodes_become_addresses_by_peer() -> None:
    """The core gets one list of addresses a peer: entries of the same peer are joined, repeated addresses go."""
    multiaddr = f"/dnsaddr/fleet.example/p2p/{OTHER.peer_id}"
    other = BootstrapNode(OTHER.wallet, "::1", 1, None)
    nodes: list[BootstrapNode | str] = [NODE, multiaddr, f"{W}@203.0.113.7:4001:5", str(NODE), other]
    assert normalise_nodes(iter(nodes)) == [
        [
            f"/ip4/203.0.113.7/udp/4001/quic-v1/p2p/{P}",
            f"/ip4/203.0.113.7/tcp/4002/p2p/{P}",
            f"/ip4/203.0.113.7/tcp/5/p2p/{P}",
        ],
        [multiaddr, f"/ip6/::1/udp/1/quic-v1/p2p/{OTHER.peer_id}"],
    ]
    assert normalise_nodes([]) == []


WRONG_NODES: list[Any] = [NODE, "x", 5, "/ip4/1.2.3.4/tcp/1", f"{OTHER.wallet}@a"]


def test_a_wrong_node_is_an_error() -> None:
    """A wrong entry is an error with its place in the list."""
    with pytest.raises(ConfigError, match=r"^bootstrap_nodes\[1\] = 'x': is not of the form"):
        normalise_nodes(WRONG_NODES)


def test_wrong_nodes_can_be_dropped() -> None:
    """On request wrong entries are left out and reported, and do not cost the others."""
    dropped: list[ConfigError] = []
    assert len(normalise_nodes(WRONG_NODES, dropped.append)) == 2
    assert [error.errors[0].path for error in dropped] == [f"bootstrap_nodes[{index}]" for index in (1, 2, 3)]


@pytest.mark.parametrize("answer", [str(NODE), None, 5, NODE])
def test_an_answer_that_is_no_list_is_an_error(answer: object) -> None:
    """One text, one node, None or a number is not taken for a list."""
    with pytest.raises(ConfigError, match="is not a list of nodes"):
        normalise_nodes(answer)  # type: ignore[arg-type]


def test_multiaddr_parts() -> None:
    """The parts of an address are told apart; the peer id may be missing."""
    address = parse_multiaddr("/ip6/2001:DB8::1/udp/5/quic-v1")
    assert (address.protocol, address.host, address.quic_port, address.tcp_port, address.peer_id) == (
        "ip6",
        "2001:db8::1",
        5,
        None,
        None,
    )
    assert parse_multiaddr(f"/dnsaddr/a/p2p/{P}").peer_id == P
