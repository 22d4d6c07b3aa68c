"""What the gate of a node knows: who may enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depinmesh.identity import PeerId, Wallet

if TYPE_CHECKING:
    from depinmesh.node import Node

_LONGEST_WALLET = 44


class GateView:
    """The wallets that may enter a node, over all its databases. Nothing here but `refresh` asks the registry."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def wallets(self) -> list[Wallet]:
        """The wallets that may enter now. Keys off the curve leave a long list a moment after it has taken effect."""
        session = self._node._session
        return [] if session is None else [Wallet._trusted(text) for text in session.core.gate_wallets()]

    @property
    def age(self) -> float | None:
        """Seconds since the registry last answered; None before its first answer."""
        session = self._node._session
        return None if session is None else session.core.gate_age()

    @property
    def listed(self) -> bool:
        """Whether the node's own wallet is on the list: else the others will not let it in."""
        session = self._node._session
        return session is not None and session.core.gate_listed()

    def is_authorized(self, wallet_or_peer: Wallet | PeerId | str) -> bool:
        """Say whether the wallet, or the node with the peer id, may enter. `IdentityError`: it is neither."""
        wallet = wallet_of(wallet_or_peer)
        session = self._node._session
        return session is not None and session.core.is_authorized(wallet)

    async def refresh(self) -> None:
        """Read the registries now.

        Raises:
            RegistryError: One of them failed; its last good list stays.
        """
        await self._node._running().refresh()


def wallet_of(value: Wallet | PeerId | str) -> Wallet:
    """Return the wallet that a wallet or a peer id, or the text of either, stands for."""
    given: object = value  # who does not check types may give anything
    if isinstance(given, PeerId) or (isinstance(given, str) and len(given) > _LONGEST_WALLET):
        return PeerId(given).wallet
    return Wallet(value)
