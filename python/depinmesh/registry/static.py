"""A list that code holds and changes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from depinmesh.bootstrap import parse_node
from depinmesh.identity import Wallet
from depinmesh.registry._latest import Latest
from depinmesh.registry.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from depinmesh.bootstrap import BootstrapNode
    from depinmesh.identity import WalletLike


class StaticRegistry:
    """A list that changes only when code changes it, and then takes effect at once, whatever it loses.

    Its methods may be called from any thread. One object can serve any number of nodes.
    """

    def __init__(
        self, wallets: Iterable[WalletLike] = (), *, bootstrap_nodes: Iterable[BootstrapNode | str] = ()
    ) -> None:
        """Check both lists.

        Raises:
            IdentityError: An entry is no wallet.
            ConfigError: An entry is no bootstrap node.
        """
        self._lock = threading.Lock()
        self._wallets = dict.fromkeys(map(Wallet, wallets))
        self._nodes = tuple(map(parse_node, bootstrap_nodes))
        self._changes: Latest[Snapshot] = Latest()

    def add(self, *wallets: WalletLike) -> None:
        """List these too. `IdentityError`: one is no wallet, and nothing has changed."""
        more = dict.fromkeys(map(Wallet, wallets))
        self._change(lambda listed: {**listed, **more})

    def remove(self, *wallets: WalletLike) -> None:
        """List these no longer; one that is not listed does not matter. `IdentityError`: one is no wallet."""
        gone = set(map(Wallet, wallets))
        self._change(lambda listed: {wallet: None for wallet in listed if wallet not in gone})

    def replace(self, wallets: Iterable[WalletLike]) -> None:
        """List exactly these. `IdentityError`: one is no wallet, and nothing has changed."""
        exactly = dict.fromkeys(map(Wallet, wallets))
        self._change(lambda _: exactly)

    async def wallets(self) -> Snapshot:
        """Return the list as of now."""
        return self._snapshot()

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give the list after each change."""
        async for snapshot in self._changes.values():
            yield snapshot

    async def bootstrap_nodes(self) -> tuple[BootstrapNode | str, ...]:
        """Return the nodes that it was made with."""
        return self._nodes

    def _change(self, change: Callable[[dict[Wallet, None]], dict[Wallet, None]]) -> None:
        # All of it under the lock: of two threads neither may undo what the other did, nor push its list last.
        with self._lock:
            self._wallets = change(self._wallets)
            self._changes.put(self._snapshot())

    def _snapshot(self) -> Snapshot:
        return Snapshot(wallets=tuple(self._wallets), source="code")
