"""The options that name a configuration, and the node of their own that some commands start from it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depinmesh import Config, Database, connect
from depinmesh._loading.layers import Given, Layer
from depinmesh._loading.load import Loaded, load
from depinmesh.bootstrap import BootstrapNode
from depinmesh.cli.ports import port_faults
from depinmesh.errors import ConfigError, ConfigProblem, MeshError, NotAuthorizedError

_HOME_TIMEOUT = 5.0  # for the node on this machine, which answers in milliseconds
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where a node with this host is reached from here


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Where the configuration comes from."""

    config: Annotated[
        Path | None, Parameter(name=("--config", "-c"), help="YAML file; variables `DEPINMESH_...` win over it")
    ] = None
    set: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            help="an option that wins over both, such as `gate.timeout=5s`; can be repeated",
            show_default=False,
        ),
    ] = ()

    def load(self, over: Layer | None = None) -> Loaded:
        """Read it; `over` wins over everything."""
        try:
            return load(self.config, options=self._options() | (over or {}))
        except ConfigError as error:
            if self.config is not None or all(problem.source for problem in error.errors):
                raise
            hint = "-c FILE; docs/configuration.md says what is in it"
            missing = ConfigProblem("--config", None, "is not given, and the rest is not enough", hint)
            raise ConfigError.of([missing, *error.errors]) from None

    def _options(self) -> Layer:
        layer: Layer = {}
        for text in self.set:
            name, equals, value = text.partition("=")
            path = tuple(name.strip().split("."))
            if not equals:
                reason, hint = "is not of the form option=value", "such as --set gate.timeout=5s"
                raise ConfigError.of([ConfigProblem(name, None, reason, hint, "--set")])
            if path == ("private_key",):
                reason, hint = "can be read there by every user of this machine", "use key_file"
                raise ConfigError.of([ConfigProblem(name, None, reason, hint, "--set")])
            layer[path] = Given(value, f"--set {name.strip()}")
        return layer


@Parameter(name="*")
@dataclass(frozen=True)
class OwnNode(Settings):
    """Where the configuration comes from, and the key of the node that the command starts."""

    key: Annotated[
        Path | None,
        Parameter(help="key file of the node that this command starts; its wallet must be listed, and not in use"),
    ] = None
    database: Annotated[str | None, Parameter(name=("--database", "-d"), help="instead of the one configured")] = None

    def load(self, over: Layer | None = None) -> Loaded:
        """Read it, with what this command says of key and database."""
        own: Layer = {}
        if self.key is not None:
            own["key_file",] = Given(self.key, "--key")
        if self.database is not None:
            own["database",] = Given(self.database, "--database")
        return super().load(own | (over or {}))

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Database]:
        """Start a node on free ports with a key of its own, and open the database.

        The node that the file is for is dialled too, when it may run on this machine and nobody else was found.
        """
        config = self.load().config
        if self.key is None and any(fault.is_taken for fault in port_faults(config.listen)):
            reason = "is that of a node that runs here: its ports are taken"
            hint = "give another listed key with --key FILE; `depinmesh keygen --output FILE` makes one"
            raise ConfigError.of([ConfigProblem("key_file", None, reason, hint)])
        async with connect(config, listen=free_ports(config)) as database:
            await _check_listed(database)
            home = self._home(config)
            if home is not None and not database.node.peers():
                with contextlib.suppress(MeshError):  # it does not run, or is on another machine
                    await database.node.dial(home, timeout=_HOME_TIMEOUT)
            yield database

    def _home(self, own: Config) -> BootstrapNode | None:
        """Return where the node would be that has the file's own key; None: nowhere, or its key is not ours to read."""
        try:
            config = super().load().config
        except ConfigError:
            return None
        if config.private_key == own.private_key or not (config.listen.quic_port or config.listen.tcp_port):
            return None
        host = config.listen.hosts[0]
        quic, tcp = config.listen.quic_port or None, config.listen.tcp_port or None
        return BootstrapNode(config.private_key.wallet, _ANY_HOST.get(host, host), quic, tcp)


def free_ports(config: Config) -> dict[str, object]:
    """Return what `listen` is for a node beside that of the configuration."""
    ports = {name: 0 for name in ("quic_port", "tcp_port") if getattr(config.listen, name) is not None}
    return {**ports, "announce": ()}


async def _check_listed(database: Database) -> None:
    """Refuse to go on when the registry says that nobody will let us in."""
    gate = database.node.gate
    if not gate.wallets:
        await gate.refresh()
    if not gate.listed:
        wallet = database.node.wallet
        text = f"the wallet {wallet} is not listed, so nobody lets it in: list it, or give a listed key with --key"
        raise NotAuthorizedError(text, wallet=wallet, reason="not-listed")
