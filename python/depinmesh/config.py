"""The configuration of a node: one frozen model with groups."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Self, TypedDict, Unpack, cast
from unicodedata import category

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, ValidationInfo

from depinmesh._validation import Options, group
from depinmesh.bootstrap import NodeSource, check_node_source, normalise_nodes
from depinmesh.errors import ConfigError, ConfigProblem, IdentityError
from depinmesh.identity import Keypair, SecretLike
from depinmesh.options import Bootstrap, Connections, Discovery, Gate, Listen, Nat, PubSub
from depinmesh.wallets import WalletSource, check_wallet_source

if TYPE_CHECKING:
    from depinmesh._core import NodeOptions

_KEY_FIELDS = ("private_key", "key_file")
_LONGEST_NAME = 128  # bytes of a database name


class ConfigFields(TypedDict, total=False):
    """What `Config`, `connect` and `Node` take as keywords. A group is its class, or a mapping of its fields."""

    private_key: SecretLike | None
    key_file: str | os.PathLike[str] | None
    database: str
    authorized_wallets: WalletSource
    databases: Mapping[str, WalletSource | None] | Iterable[str]
    bootstrap_nodes: NodeSource
    logger: object | None
    listen: Listen | Mapping[str, object]
    gate: Gate | Mapping[str, object]
    bootstrap: Bootstrap | Mapping[str, object]
    discovery: Discovery | Mapping[str, object]
    connections: Connections | Mapping[str, object]
    nat: Nat | Mapping[str, object]
    pubsub: PubSub | Mapping[str, object]


def _check_name(name: str) -> str:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError("has characters that cannot be encoded as UTF-8") from None
    if not 1 <= length <= _LONGEST_NAME:
        raise ValueError(f"has {length} bytes as UTF-8, not 1 to {_LONGEST_NAME}")
    if any(category(character) == "Cc" for character in name):
        raise ValueError("has a control character")
    return name


def _check_logger(logger: object) -> object:
    from depinmesh.logs.adapters import adapt

    try:
        adapt(logger)
    except ConfigError as error:
        raise ConfigError.of([ConfigProblem("", *problem[1:]) for problem in error.errors]) from error
    return logger


def _check_databases(given: object, info: ValidationInfo) -> Mapping[str, object]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError("is neither a mapping of names to lists of wallets nor a list of names")  # noqa: TRY004
    try:
        sources = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)
    except TypeError:
        raise ValueError("has an entry that is not the name of a database") from None
    problems: list[ConfigProblem] = []
    for name, source in sources.items():
        try:
            if name == info.data.get("database"):
                raise ValueError("is the name of `database` already")  # noqa: TRY301  # one report for all of these
            _check_name(name if isinstance(name, str) else "")
            sources[name] = None if source is None else check_wallet_source(source)
        except ValueError as error:
            problems.append(ConfigProblem(str(name), None, str(error), "each database has a name of its own"))
    if problems:
        raise ConfigError.of(problems)
    return MappingProxyType(sources)


class Config(Options, frozen=True):
    """All options of a node. `ConfigError` names every wrong field at once.

    Durations are seconds, sizes are bytes. Exactly one of `private_key` and `key_file` is needed; the file is read
    here, once, and `private_key` is then the key in it.
    """

    private_key: Annotated[Keypair, PlainValidator(Keypair), PlainSerializer(repr, when_used="json")] = Field(
        default=cast("Keypair", None),  # __init__ makes sure of one
        repr=False,
        description="identity of the node: Base58 or 64 bytes of a Solana secret, or a Keypair of depinmesh or solders",
    )
    key_file: Path | None = Field(
        default=None, description="file with the identity: JSON array of the Solana CLI, or Base58 text; mode 0600"
    )
    database: Annotated[str, Field(strict=True), AfterValidator(_check_name)] = Field(
        default="depin-network",
        description="name of the database to open, 1 to 128 bytes, no control characters: a label, not access control",
    )
    authorized_wallets: Annotated[WalletSource, PlainValidator(check_wallet_source)] = Field(
        repr=False,
        description="who belongs to the fleet: a list of wallets, a function giving one, or an object with wallets()",
    )
    databases: Annotated[
        Mapping[str, WalletSource | None],
        PlainValidator(_check_databases),
        PlainSerializer(list, when_used="json"),
    ] = Field(
        default_factory=lambda: MappingProxyType({}),
        repr=False,
        description="more databases that the node may open: names, each with who belongs to it; None is the list above",
    )
    bootstrap_nodes: Annotated[NodeSource, PlainValidator(check_node_source)] = Field(
        default=(),
        description="nodes to ask first: a list, a function giving one, or an object with bootstrap_nodes()",
    )
    logger: Annotated[Any, AfterValidator(_check_logger)] = Field(
        default=None,
        repr=False,
        description="where log records of the node go: None is the standard logger 'depinmesh'; depinmesh.logs says "
        "what else",
    )
    listen: Annotated[Listen, group(Listen)] = Field(default_factory=Listen, description="where the node listens")
    gate: Annotated[Gate, group(Gate)] = Field(default_factory=Gate, description="who may enter")
    bootstrap: Annotated[Bootstrap, group(Bootstrap)] = Field(
        default_factory=Bootstrap, description="how first peers are found"
    )
    discovery: Annotated[Discovery, group(Discovery)] = Field(
        default_factory=Discovery, description="how the others are found"
    )
    connections: Annotated[Connections, group(Connections)] = Field(
        default_factory=Connections, description="limits of connections"
    )
    nat: Annotated[Nat, group(Nat)] = Field(default_factory=Nat, description="how a node behind a NAT is reached")
    pubsub: Annotated[PubSub, group(PubSub)] = Field(
        default_factory=PubSub, description="sizes and policies of messages"
    )

    def __init__(self, **fields: Unpack[ConfigFields]) -> None:
        given: dict[str, object] = {
            name: value for name, value in fields.items() if value is not None or name not in _KEY_FIELDS
        }
        problems = _read_key(given)
        self._fill(given, problems)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] | None = None, *, env: bool = True, **fields: Unpack[ConfigFields]
    ) -> Self:
        """Read a configuration: keywords win over the environment, that over the file, that over the defaults.

        They are merged field by field, also inside groups. Text is good everywhere: `"30s"`, `"8MiB"`, `"a, b"`,
        `"none"`. Of `private_key` and `key_file` in two places the higher one counts. Registries and bootstrap nodes
        may be a list, `module:function`, or a mapping with the `type` of a registry and its arguments.

        Args:
            path: A YAML file (extra `config`). Relative paths in it start from its folder.
            env: Whether variables such as `DEPINMESH_DATABASE` and `DEPINMESH_GATE__TIMEOUT` count.
            fields: Fields of `Config`.

        Raises:
            ConfigError: Something is wrong; `errors` has everything that is, with who gave it.
        """
        from depinmesh._loading.load import load

        return cast("Self", load(path, env=env, fields=fields).config)

    def _wallets_of(self, database: str) -> WalletSource:
        """Return who belongs to a database: its own list, or `authorized_wallets`."""
        own = self.databases.get(database)
        return self.authorized_wallets if own is None else own

    def __hash__(self) -> int:
        """Agree with `==`; a mapping has no hash."""
        return hash(tuple(getattr(self, name) for name in type(self).model_fields if name != "databases"))

    def core_options(self) -> "NodeOptions":
        """Return what the core is told at its start."""
        return {
            "hosts": list(self.listen.hosts),
            "quic_port": self.listen.quic_port,
            "tcp_port": self.listen.tcp_port,
            "announce": list(self.listen.announce),
            "refresh_interval": self.gate.refresh_interval,
            "gate_timeout": self.gate.timeout,
            "min_interval": self.gate.min_interval,
            "negative_ttl": self.gate.negative_ttl,
            "max_stale": self.gate.max_stale,
            "revocation": self.gate.revocation,
            "connect_timeout": self.bootstrap.connect_timeout,
            "retry_interval": self.bootstrap.retry_interval,
            "loss_delay": self.bootstrap.loss_delay,
            "dht": self.discovery.dht,
            "rendezvous_interval": self.discovery.rendezvous_interval,
            "max_new_per_round": self.discovery.max_new_per_round,
            "mdns": self.discovery.mdns,
            "discovery_registry": self.discovery.registry,
            "low": self.connections.low,
            "high": self.connections.high,
            "grace": self.connections.grace,
            "max_per_ip": self.connections.max_per_ip,
            "max_pending_per_ip": self.connections.max_pending_per_ip,
            "dial_concurrency": self.connections.dial_concurrency,
            "handshake_timeout": self.connections.handshake_timeout,
            "relay_client": self.nat.relay_client,
            "relay_server": self.nat.relay_server,
            "hole_punching": self.nat.hole_punching,
            "relays": normalise_nodes(self.nat.relays),
            "upnp": self.nat.upnp,
            "autonat": self.nat.autonat,
            "autonat_server": self.nat.autonat_server,
            "max_message_size": self.pubsub.max_message_size,
            "flood_publish": self.pubsub.flood_publish,
            "batching": self.pubsub.batching,
            "waker": "auto",
        }


def _read_key(given: dict[str, object]) -> list[ConfigProblem]:
    """Put the key of a key file in its place; return what is wrong with the choice or the file."""
    if ("private_key" in given) == ("key_file" in given):
        reason = "is given beside key_file" if "key_file" in given else "is missing, and so is key_file"
        return [ConfigProblem("private_key", None, reason, "exactly one of private_key and key_file is needed")]
    file = given.get("key_file")
    if isinstance(file, str | os.PathLike):
        try:
            given["private_key"] = Keypair.from_file(file)
        except IdentityError as error:
            return [ConfigProblem("key_file", None, str(error), None)]
    return []


def merged(config: object, fields: ConfigFields) -> Config:
    """Put keywords over a configuration, if any. A mapping changes fields of a group, an object replaces it."""
    if config is None:
        return Config(**fields)
    if not isinstance(config, Config):
        reason = f"is no Config but of the class {type(config).__name__}"
        hint = "Config.load(path) reads a file; fields are given by keyword"
        raise ConfigError.of([ConfigProblem("config", None, reason, hint)])
    if not fields:
        return config
    below: dict[str, Any] = {name: getattr(config, name) for name in config.model_fields_set}
    key_file = below.pop("key_file", None)  # it was read, and may be gone
    if any(fields.get(name) is not None for name in _KEY_FIELDS):
        key_file = None
        below.pop("private_key", None)
    for name, value in fields.items():
        under = below.get(name)
        if isinstance(under, Options) and isinstance(value, Mapping):
            below[name] = {**{inner: getattr(under, inner) for inner in under.model_fields_set}, **value}
        elif value is not None or name not in _KEY_FIELDS:
            below[name] = value
    made = Config(**below)
    return made if key_file is None else made.model_copy(update={"key_file": key_file})
