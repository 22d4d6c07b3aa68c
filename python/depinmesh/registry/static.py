"""A list that code holds and changes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from depinmesh.bootstrap import parse_node
from depinmesh.identity import Wallet
from depinmesh.registry._latest import Latest
from depinmesh.registry.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

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
        checked = list(map(Wallet, wallets))
        self._change({**self._wallets, **dict.fromkeys(checked)})

    def remove(self, *wallets: WalletLike) -> None:
        """List these no longer; one that is not listed does not matter. `IdentityError`: one is no wallet."""
        gone = set(map(Wallet, wallets))
        self._change({wallet: None for wallet in self._wallets if wallet not in gone})

    def replace(self, wallets: Iterable[WalletLike]) -> None:
        """List exactly these. `IdentityError`: one is no wallet, and nothing has changed."""
        self._change(dict.fromkeys(map(Wallet, wallets)))

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

    def _change(self, wallets: dict[Wallet, None]) -> None:
        with self._lock:
            self._wallets = wallets
        self._changes.put(self._snapshot())

    def _snapshot(self) -> Snapshot:
        return Snapshot(wallets=tuple(self._wallets), source="code")
