"""What a node has from its start to its close: the core, its pump, and the user's functions that the core asks."""

from __future__ import annotations

import asyncio
import atexit
import logging
import weakref
from typing import TYPE_CHECKING, Any

from depinmesh import _core
from depinmesh._calls import Calls
from depinmesh._pump import Pump, needs_thread
from depinmesh._registries import Registries
from depinmesh.bootstrap import BootstrapNode, normalise_nodes
from depinmesh.errors import ConfigError, MeshError
from depinmesh.identity import PeerId
from depinmesh.logs.forward import forwarder
from depinmesh.wallets import normalise_wallets_async

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable

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
        self.core = _core.Node(config.private_key._secret, options)
        self._registries = Registries(config, self.core, self._calls, context, log)
        self.pump = Pump(
            self.core,
            context=context,
            on_wallets=self._registries.wallets,
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
            return self.core.attach(name, await normalise_wallets_async(source), by_check=False)
        return self._registries.attach(name, source)

    async def refresh(self) -> None:
        """Read the registries now."""
        self._registries.demand()
        await self.pump.call(self.core.refresh_gate)

    async def detach(self, database: int) -> None:
        """Take a database away."""
        await self._registries.detach(database)

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
            try:
                await self._registries.close()
            finally:  # also where a loop that ends cancels this
                self._calls.stop()
                forwarder.remove(self._log)
                _open.discard(self)
        await self._calls.ended()

    def abandon(self) -> None:
        """End it from a finaliser, in whatever thread that runs."""
        self.pump.abandon()
        self._registries.abandon()
        self._calls.stop()
        forwarder.remove(self._log)

    async def _bootstrap_nodes(self) -> list[list[str]]:
        return normalise_nodes(await self._registries.bootstrap_nodes(), self._on_wrong_node)

    def _on_wrong_node(self, error: ConfigError) -> None:
        self._log.log(logging.WARNING, "A bootstrap node was left out", {"error": str(error)})


@atexit.register
def _abort_all() -> None:
    """Stop the threads of nodes that were never closed, before the interpreter goes."""
    for session in list(_open):
        # A loop in a daemon thread may still run: it must not take this for a failure of the core.
        session.pump.abandon()
