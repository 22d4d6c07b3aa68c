"""What a node has from its start to its close: the core, its pump, and the user's functions that the core asks."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import weakref
from typing import TYPE_CHECKING, Any

from depinmesh import _core
from depinmesh._calls import Calls
from depinmesh._pump import Pump, needs_thread
from depinmesh.bootstrap import BootstrapNode, normalise_nodes
from depinmesh.errors import ConfigError, MeshError
from depinmesh.identity import PeerId
from depinmesh.logs.forward import forwarder
from depinmesh.wallets import normalise_wallets_async

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Iterator

    from depinmesh.config import Config
    from depinmesh.logs import Adapter

# How long the core may take beyond the time limit of a close before it is left to itself.
_GRACE = 2.0

_open: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """The running part of a node. Made in the event loop that it belongs to, and used once."""

    def __init__(
        self,
        config: Config,
        context: contextvars.Context,
        log: Adapter,
        on_event: Callable[[str, dict[str, Any]], None],
        on_stopped: Callable[[MeshError | None], None],
    ) -> None:
        options = config.core_options()
        if needs_thread(asyncio.get_running_loop()):
            options["waker"] = "thread"
        self._config = config
        self._log = log
        self._calls = Calls()
        self._registries: dict[int, Any] = {}
        self.core = _core.Node(config.private_key._secret, options)
        self.pump = Pump(
            self.core,
            context=context,
            on_wallets=self._wallets,
            on_bootstrap=self._bootstrap_nodes,
            on_event=on_event,
            on_stopped=on_stopped,
        )

    async def start(self) -> None:
        """Start the core, which returns when it listens."""
        nodes = self._config.bootstrap_nodes
        self.core.set_bootstrap(normalise_nodes(nodes) if isinstance(nodes, tuple) else None)
        _open.add(self)
        forwarder.add(self._log)
        self.pump.start()
        await self.pump.call(self.core.start)

    async def attach(self, name: str, source: object) -> int:
        """Add a database with a fixed list of wallets, or with a registry that is asked for them."""
        self.pump.check()
        if isinstance(source, tuple):
            return self.core.attach(name, await normalise_wallets_async(source))
        database = self.core.attach(name, None)
        self._registries[database] = _function(source, "wallets")
        return database

    async def dial(self, address: BootstrapNode | str, timeout: float) -> PeerId:
        """Connect to a peer at an address, or at the first address of a bootstrap node that answers."""
        if isinstance(address, str) and "@" in address:
            address = BootstrapNode.parse(address)
        addresses = [address] if isinstance(address, str) else address.multiaddrs()
        return PeerId._trusted(str(await self.pump.call(self.core.dial, addresses, timeout)))

    async def close(self, timeout: float) -> None:
        """Let the core send what is queued, and end it."""
        try:
            async with asyncio.timeout(timeout + _GRACE):
                await self.pump.call(self.core.close, timeout)
                await self.pump.ended()
        except (MeshError, TimeoutError):
            pass  # it has failed before, or hangs
        finally:
            self.core.abort()
            self.pump.stop()
            self._calls.stop()
            forwarder.remove(self._log)
            _open.discard(self)
        await self._calls.ended()

    def abandon(self) -> None:
        """End it from a finaliser, in whatever thread that runs."""
        self.pump.abandon()
        self._calls.stop()
        forwarder.remove(self._log)

    async def _wallets(self, database: int) -> list[str | bytes]:
        with self._logged("The registry function failed"):
            return await normalise_wallets_async(await self._calls.call(self._registries[database]))

    async def _bootstrap_nodes(self) -> list[list[str]]:
        source: Any = self._config.bootstrap_nodes
        function = _function(source, "bootstrap_nodes")
        with self._logged("The bootstrap function failed"):
            nodes = await self._calls.call(function)
            return normalise_nodes(nodes, self._on_wrong_node)

    @contextlib.contextmanager
    def _logged(self, message: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._log.log(logging.WARNING, message, {}, error)
            raise

    def _on_wrong_node(self, error: ConfigError) -> None:
        self._log.log(logging.WARNING, "A bootstrap node was left out", {"error": str(error)})


def _function(source: Any, method: str) -> Any:
    """Return the method of a provider. A function may have an attribute of that name which is no method."""
    provider = getattr(source, method, None)
    return provider if callable(provider) else source


@atexit.register
def _abort_all() -> None:
    """Stop the threads of nodes that were never closed, before the interpreter goes."""
    for session in list(_open):
        # A loop in a daemon thread may still run: it must not take this for a failure of the core.
        session.pump.abandon()
