"""The configuration of a node: its fields, and what is said of wrong ones."""

from collections.abc import Mapping
from typing import Any

import pytest

from depinmesh import BootstrapNode, Config, ConfigError, Gate, Listen, PubSub
from depinmesh._validation import Options
from depinmesh.options import Bootstrap, Connections, Discovery, Nat
from tests.configs import KEY, config, problems

GROUPS: dict[str, type[Options]] = {
    "listen": Listen,
    "gate": Gate,
    "bootstrap": Bootstrap,
    "discovery": Discovery,
    "connections": Connections,
    "nat": Nat,
    "pubsub": PubSub,
}


def test_defaults() -> None:
    """The defaults are those of the documents."""
    made = config()
    assert made.database == "depin-network"
    assert (made.bootstrap_nodes, made.logger, made.key_file) == ((), None, None)
    assert made.listen == Listen(quic_port=4001, tcp_port=4002, hosts=("0.0.0.0", "::"), announce=())
    assert made.gate == Gate(
        refresh_interval=30, timeout=10, min_interval=1, negative_ttl=10, max_stale=900, revocation="close"
    )
    assert made.bootstrap == Bootstrap(wait="first-round", connect_timeout=30, retry_interval=5, loss_delay=2)
    assert made.discovery == Discovery(dht=True, rendezvous_interval=2, max_new_per_round=5, mdns=False, registry=False)
    assert made.connections == Connections(
        low=100, high=400, grace=60, max_per_ip=64, max_pending_per_ip=16, dial_concurrency=128, handshake_timeout=10
    )
    assert made.nat == Nat(
        relay_client=True,
        relay_server=False,
        hole_punching=True,
        upnp=True,
        autonat=True,
        autonat_server=False,
        relays=(),
    )
    assert made.pubsub == PubSub(
        max_message_size=1_048_000,
        queue_size=1024,
        queue_bytes=8 * 1024 * 1024,
        overflow="drop_oldest",
        flood_publish=False,
        batching=False,
    )


@pytest.mark.parametrize("model", [Config, *GROUPS.values()])
def test_every_option_is_described(model: type[Options]) -> None:
    """Every field has a description; the number of options stays small."""
    assert all(field.description for field in model.model_fields.values())
    assert len(model.model_fields) <= 14
    assert model.__doc__
    assert model.model_json_schema()["properties"].keys() == model.model_fields.keys()


WRONG: list[tuple[str, object, str]] = [
    # path, value, part of the reason
    ("private_key", "short", "64 bytes"),
    ("private_key", 5, "64 bytes"),
    ("database", "", "has 0 bytes"),
    ("database", "é" * 65, "has 130 bytes"),
    ("database", "\ud800", "UTF-8"),
    ("database", 5, "string"),
    ("database", b"name", "string"),
    ("authorized_wallets", None, "is neither a list"),
    ("authorized_wallets", KEY.wallet, "one wallet"),
    ("bootstrap_nodes", "x@y", "one text"),
    ("bootstrap_nodes", 5, "is neither a list"),
    ("listen", None, "dictionary or instance"),
    ("listen", [], "dictionary or instance"),
    ("listen", Gate(), "dictionary or instance"),
    ("listen.quic_port", -1, "greater than or equal to 0"),
    ("listen.quic_port", 65_536, "less than or equal to 65535"),
    ("listen.quic_port", "4001", "valid integer"),
    ("listen.quic_port", 4001.0, "valid integer"),
    ("listen.tcp_port", True, "valid integer"),
    ("listen.hosts", (), "empty"),
    ("listen.hosts", "0.0.0.0", "tuple"),
    ("listen.announce", ["/ip4/1.2.3.4/tcp/1", 5], "string"),
    ("gate.refresh_interval", 0, "greater than 0"),
    ("gate.refresh_interval", "30s", "valid number"),
    ("gate.timeout", float("nan"), "finite"),
    ("gate.timeout", float("inf"), "finite"),
    ("gate.min_interval", -1, "greater than 0"),
    ("gate.negative_ttl", -0.1, "greater than or equal to 0"),
    ("gate.max_stale", 10**9, "less than"),
    ("gate.revocation", "open", "'close' or 'keep'"),
    ("bootstrap.wait", True, "'first-round', 'ready' or 'none'"),
    ("bootstrap.connect_timeout", False, "valid number"),
    ("bootstrap.retry_interval", None, "valid number"),
    ("bootstrap.loss_delay", -1, "greater than or equal to 0"),
    ("database", "a\nb", "control character"),
    ("logger", 5, "is no logger"),
    ("logger", print, "is no logger"),
    ("connections.low", 0, "greater than or equal to 1"),
    ("connections.grace", -1, "greater than or equal to 0"),
    ("connections.max_per_ip", 0, "greater than or equal to 1"),
    ("connections.max_pending_per_ip", 10**7, "less than or equal to 1000000"),
    ("connections.dial_concurrency", 256, "less than or equal to 255"),
    ("connections.handshake_timeout", 0, "greater than 0"),
    ("pubsub.max_message_size", 1_048_001, "less than or equal to 1048000"),
    ("pubsub.max_message_size", 1023, "greater than or equal to 1024"),
    ("pubsub.queue_size", 0, "greater than or equal to 1"),
    ("pubsub.queue_bytes", 2**31, "less than or equal to"),
    ("pubsub.overflow", "block", "'drop_oldest' or 'drop_newest'"),
    ("pubsub.flood_publish", 1, "valid boolean"),
    ("pubsub.batching", "yes", "valid boolean"),
]


@pytest.mark.parametrize(("path", "value", "reason"), WRONG)
def test_wrong_values(path: str, value: object, reason: str) -> None:
    """A wrong value is reported with its path, the reason, and the meaning of the field."""
    field, _, inner = path.partition(".")
    found = problems(**{field: {inner: value} if inner else value})
    (problem,) = found.values()
    assert problem.path.startswith(path)
    assert reason in problem.reason
    assert problem.hint


CROSSED: list[tuple[str, Mapping[str, Any], str]] = [
    ("listen", {"quic_port": None, "tcp_port": None}, "listen.tcp_port"),
    ("gate", {"refresh_interval": 60, "max_stale": 59}, "gate.max_stale"),
    ("connections", {"low": 5, "high": 4}, "connections.high"),
    ("pubsub", {"max_message_size": 2000, "queue_bytes": 1999}, "pubsub.queue_bytes"),
    ("pubsub", {"queue_bytes": 1_047_999}, "pubsub.queue_bytes"),
]


@pytest.mark.parametrize(("name", "fields", "path"), CROSSED)
def test_fields_that_do_not_fit_together(name: str, fields: Mapping[str, Any], path: str) -> None:
    """Fields that contradict each other are a problem of the later one."""
    assert problems(**{name: fields}).keys() == {path}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("listen", {"quic_port": None}),
        ("listen", {"tcp_port": None}),
        ("listen", {"quic_port": 0, "tcp_port": 0, "hosts": ["127.0.0.1", "::1"]}),
        ("listen", {"announce": ["/dns/node.example/udp/4001/quic-v1", "/ip6/2001:db8::1/tcp/4002"]}),
        ("gate", {"refresh_interval": 60, "max_stale": 60, "negative_ttl": 0}),
        ("bootstrap", {"loss_delay": 0, "wait": "none"}),
        ("pubsub", {"max_message_size": 2000, "queue_bytes": 2000}),
    ],
)
def test_values_at_the_bounds(name: str, fields: dict[str, Any]) -> None:
    """What fits exactly is accepted, by mapping and by object."""
    by_object = GROUPS[name](**fields)
    assert getattr(config(**{name: fields}), name) == by_object
    assert getattr(config(**{name: by_object}), name) is by_object


@pytest.mark.parametrize("host", ["localhost", "", "1.2.3", "[::1]", "0.0.0.0:4001", "node.example", "fe80::1%eth0"])
def test_hosts_are_addresses(host: str) -> None:
    """A node listens on addresses, not on names."""
    assert problems(listen={"hosts": [host, "::"]}).keys() == {"listen.hosts[0]"}


@pytest.mark.parametrize(
    "address",
    [
        "1.2.3.4:4001",
        "/ip4/1.2.3.4",
        f"/ip4/1.2.3.4/tcp/1/p2p/{KEY.peer_id}",
        "/dnsaddr/node.example",
        "/ip4/::1/tcp/1",
    ],
)
def test_announced_addresses_are_multiaddrs(address: str) -> None:
    """A node announces host, transport and port."""
    assert problems(listen={"announce": [address]}).keys() == {"listen.announce[0]"}


def test_all_problems_at_once() -> None:
    """Every wrong field is reported by one error, whatever group it is in, and so are contradictions."""
    with pytest.raises(ConfigError) as caught:
        Config(  # type: ignore[call-arg]
            private_key="short",
            key_file="/nowhere",
            database="",
            bootstrap_nodes=["x", f"{KEY.wallet}@[::1]", 5],  # type: ignore[list-item]
            listen={"quic_port": 70_000, "hosts": ["localhost"]},
            pubsub={"queue_bytes": 2000, "queue_size": 0},
            gate={"tmeout": 1},
            colour="blue",
        )
    assert [problem.path for problem in caught.value.errors] == [
        "private_key",
        "private_key",
        "database",
        "authorized_wallets",
        "bootstrap_nodes[0]",
        "bootstrap_nodes[2]",
        "listen.quic_port",
        "listen.hosts[0]",
        "gate.tmeout",
        "pubsub.queue_size",
        "pubsub.queue_bytes",
        "colour",
    ]
    assert str(caught.value).startswith("12 fields are wrong:\n  private_key: is given beside key_file")


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("databse", "did you mean database?"),
        ("privatekey", "did you mean private_key?"),
        ("authorised_wallets", "did you mean authorized_wallets?"),
        ("quic_port", "did you mean listen.quic_port?"),
        ("queuesize", "did you mean pubsub.queue_size?"),
        ("listen.udp_port", "did you mean tcp_port?"),
        ("gate.zzz", "known here: refresh_interval, timeout, min_interval, negative_ttl, max_stale, revocation"),
        ("mesh", "known here: private_key, key_file, database, "),
    ],
)
def test_unknown_fields_name_the_nearest_one(path: str, hint: str) -> None:
    """An unknown field is refused with the name that was probably meant; its value is not shown."""
    field, _, inner = path.partition(".")
    found = problems(**{field: {inner: 5} if inner else 5})
    assert found.keys() == {path}
    assert (found[path].hint or "").startswith(hint)
    assert found[path].value is None


def test_fields_are_named_by_text() -> None:
    """A mapping with other keys than text, as YAML may give it, is an error and no crash."""
    assert problems(listen={4001: "x"}).keys() == {"listen.4001"}


def test_relays_are_nodes_that_are_reached_directly() -> None:
    """A relay is given as a bootstrap node is, but not through another relay, and not without a use."""
    entry, through = f"{KEY.wallet}@192.0.2.1", f"/ip4/192.0.2.1/tcp/1/p2p/{KEY.peer_id}/p2p-circuit/p2p/{KEY.peer_id}"
    assert config(nat={"relays": [entry]}).nat.relays == (BootstrapNode.parse(entry),)
    assert "is itself reached through a relay" in problems(nat={"relays": [through]})["nat.relays[0]"].reason
    assert "is not a list" in problems(nat={"relays": entry})["nat.relays"].reason
    assert "relay_client is off" in problems(nat={"relays": [entry], "relay_client": False})["nat.relays"].reason
    assert config(bootstrap_nodes=[through]).bootstrap_nodes == (through,)


def test_required_fields_say_what_they_are() -> None:
    """What is missing is explained."""
    with pytest.raises(ConfigError) as caught:
        Config()
    assert [problem.path for problem in caught.value.errors] == ["private_key", "authorized_wallets"]
    assert "a list of wallets, a function" in str(caught.value)


@pytest.mark.parametrize("model", GROUPS.values())
def test_groups_raise_the_same_error(model: type[Options]) -> None:
    """A group that is made by itself raises ConfigError too, never an error of pydantic."""
    with pytest.raises(ConfigError, match="is not a known field"):
        model(colour="blue")


def test_bootstrap_nodes_are_checked() -> None:
    """A fixed list is checked entry by entry, each must be there once, and becomes a tuple of nodes."""
    wallet = KEY.wallet
    multiaddr = f"/dnsaddr/fleet.example/p2p/{KEY.peer_id}"
    made = config(bootstrap_nodes=[f"{wallet}@Node.example", BootstrapNode(wallet, "::1", 1, None), multiaddr])
    assert made.bootstrap_nodes == (
        BootstrapNode(wallet, "node.example"),
        BootstrapNode(wallet, "::1", 1, None),
        multiaddr,
    )
    found = problems(bootstrap_nodes=[f"{wallet}@a", f"{wallet}@A:4001", f"{wallet}@0.0.0.0", "1" * 40 + "@a"])
    assert found.keys() == {"bootstrap_nodes[1]", "bootstrap_nodes[2].host", "bootstrap_nodes[3].wallet"}
    assert found["bootstrap_nodes[1]"].reason == "is the same as entry 0"


def test_functions_are_kept() -> None:
    """A function or provider stays what it is until the node asks it."""

    class Provider:
        def wallets(self) -> list[str]:
            return []

        def bootstrap_nodes(self) -> list[str]:
            return []

    provider = Provider()
    made = config(authorized_wallets=provider, bootstrap_nodes=provider)
    assert made.authorized_wallets is provider
    assert made.bootstrap_nodes is provider


@pytest.mark.parametrize("options", [config(), Gate()])
def test_configurations_are_frozen(options: Any) -> None:
    """A configuration cannot be changed, and says so without an error of pydantic."""
    name = next(iter(type(options).model_fields))
    with pytest.raises(AttributeError, match=f"frozen: {name} cannot be set"):
        setattr(options, name, 5)
    with pytest.raises(AttributeError, match=f"frozen: {name} cannot be deleted"):
        delattr(options, name)


def test_equal_configurations() -> None:
    """Equal fields make equal configurations with equal hashes."""
    assert config(database="a") == config(database="a") != config()
    assert hash(config(database="a")) == hash(config(database="a"))


def test_core_options_are_complete() -> None:
    """The core gets exactly the options that it knows, each from its field."""
    options = config(
        listen={"quic_port": 1, "tcp_port": None, "hosts": ["::1"], "announce": ["/dns/a/tcp/1"]},
        gate={"timeout": 3, "revocation": "keep"},
        bootstrap={"connect_timeout": 4},
        discovery={"rendezvous_interval": 7, "mdns": True, "registry": True},
        connections={"max_per_ip": 5},
        nat={"hole_punching": False, "upnp": False, "autonat_server": True, "relays": [f"{KEY.wallet}@192.0.2.1:1:-"]},
        pubsub={"max_message_size": 6000, "flood_publish": True, "batching": True},
    ).core_options()
    assert options == {
        "hosts": ["::1"],
        "quic_port": 1,
        "tcp_port": None,
        "announce": ["/dns/a/tcp/1"],
        "refresh_interval": 30.0,
        "gate_timeout": 3.0,
        "min_interval": 1.0,
        "negative_ttl": 10.0,
        "max_stale": 900.0,
        "revocation": "keep",
        "connect_timeout": 4.0,
        "retry_interval": 5.0,
        "loss_delay": 2.0,
        "dht": True,
        "rendezvous_interval": 7,
        "max_new_per_round": 5,
        "mdns": True,
        "discovery_registry": True,
        "low": 100,
        "high": 400,
        "grace": 60.0,
        "max_per_ip": 5,
        "max_pending_per_ip": 16,
        "dial_concurrency": 128,
        "handshake_timeout": 10.0,
        "relay_client": True,
        "relay_server": False,
        "hole_punching": False,
        "upnp": False,
        "autonat": True,
        "autonat_server": True,
        "relays": [[f"/ip4/192.0.2.1/udp/1/quic-v1/p2p/{KEY.peer_id}"]],
        "max_message_size": 6000,
        "flood_publish": True,
        "batching": True,
        "waker": "auto",
    }
    assert type(options["gate_timeout"]) is float
