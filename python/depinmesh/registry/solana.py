"""Wallets that a program on Solana lists."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Literal, Self
from weakref import WeakSet

from depinmesh.bootstrap import BootstrapNode
from depinmesh.errors import ConfigError, ConfigProblem, RegistryError, shown
from depinmesh.registry._endpoints import NODES_AGE, Endpoints
from depinmesh.registry._fetch import Allowance, Fetcher, checked_urls, label
from depinmesh.registry._latest import merged
from depinmesh.registry._loops import PerLoop
from depinmesh.registry._losses import Confirmation, loses_too_much
from depinmesh.registry.snapshot import Snapshot

try:
    from solders.pubkey import Pubkey

    from depinmesh.registry._solana_arguments import rule_of
    from depinmesh.registry._solana_ledger import Ledger, amount_of
    from depinmesh.registry._solana_lookups import Lookups
    from depinmesh.registry._solana_push import notifications
    from depinmesh.registry._solana_rpc import Rpc
    from depinmesh.registry._solana_slots import HighestSlot
except ImportError:
    raise ConfigError.of(
        [ConfigProblem("", None, "a registry on Solana needs an extra", "pip install 'depinmesh[solana]'")]
    ) from None

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping

    from depinmesh.identity import Wallet
    from depinmesh.registry._solana_rules import Account, Entry, Rule

_log = logging.getLogger("depinmesh.registry")

_LONGEST_NAP = 3600.0
# About a minute: machines behind one URL differ by some slots, and one that is further behind may still have a wallet
# that was removed.
_MOST_BEHIND = 150
_COMMITMENTS = ("processed", "confirmed", "finalized")


class SolanaRegistry:
    """The wallets that a program on Solana lists. Extra `solana`.

    What it reads is one of three: `registry`, the nodes or clients of a registry of dTelecom's program; `mint`, who
    holds a token of SPL Token or Token-2022 that is not frozen; or `rule`, a layout of your own.

    Reading is `getProgramAccounts` with filters. With `websocket` what changes is heard at once; closed accounts are
    not, so the list is still read every `gate.refresh_interval`. What expires, expires without any call. Where an
    endpoint does not list, `listing=False` looks wallets up one by one, up to a hundred in one call.
    """

    def __init__(  # noqa: PLR0913  # all by name but the first
        self,
        rpc: str | Iterable[str],
        *,
        registry: str | None = None,
        entries: Literal["nodes", "clients", "both"] = "nodes",
        program: str | None = None,
        mint: str | None = None,
        minimum: int = 1,
        rule: Rule | None = None,
        websocket: str | Iterable[str] | None = None,
        listing: bool = True,
        commitment: Literal["processed", "confirmed", "finalized"] = "confirmed",
        headers: Mapping[str, str] | None = None,
        timeout: float = 4.0,
        max_size: int = 64 * 1024 * 1024,
        rate_limit: float = 10.0,
        quic_port: int | None = 4001,
        tcp_port: int | None = 4002,
    ) -> None:
        """Check the arguments; nothing is asked before the node does.

        Args:
            rpc: URLs of JSON-RPC endpoints; the first serves until it fails, then the next.
            registry: Address of a registry of dTelecom's program.
            entries: Which of its entries count: active nodes, clients until they expire, or both.
            program: Address of that program, if it is not dTelecom's own.
            mint: Address of a token.
            minimum: How many of its smallest units a wallet must hold.
            rule: A layout of your own.
            websocket: URLs of WebSocket endpoints, `wss://` or `ws://`; `None`: what changes is seen at the next read.
            listing: Whether the endpoints list accounts.
            commitment: How certain a change must be: `confirmed` may, very rarely, be undone, `finalized` comes about
                13 s later.
            headers: Sent with each request, such as a token.
            timeout: Seconds that one endpoint may take for all calls of an answer, so that the next gets its turn
                within `gate.timeout`. Waits for `rate_limit` do not count.
            max_size: Bytes that an answer may have.
            rate_limit: Calls a second, over all endpoints.
            quic_port: UDP port of the nodes that `bootstrap_nodes` names, `None` if they have none.
            tcp_port: TCP port of these nodes, `None` if they have none.

        Raises:
            ConfigError: A URL or an address is none, a header cannot be sent, or not exactly one of `registry`, `mint`,
                `rule` is given, or an argument that goes with another one of them.
            ValueError: A limit is not above 0.
        """
        self._rule = rule_of(registry, entries, program, mint, minimum, rule)
        if commitment not in _COMMITMENTS:
            known = ", ".join(_COMMITMENTS)
            problem = ConfigProblem("commitment", shown(commitment), "is none that Solana knows", f"known: {known}")
            raise ConfigError.of([problem])
        if not rate_limit > 0:
            raise ValueError("rate_limit must be above 0")
        self._endpoints = Endpoints(checked_urls(rpc, "https", "http"))
        self._websockets = () if websocket is None else checked_urls(websocket, "wss", "ws")
        self._fetcher = Fetcher(timeout=timeout, max_size=max_size, headers=headers)
        self._rpc = Rpc(self._fetcher, commitment, rate_limit)
        self._commitment = commitment
        self._headers = headers
        self._timeout = timeout
        self._ports = (quic_port, tcp_port)
        self._ledger = Ledger(self._rule.minimum)
        self._looked_up_at, self._listed_at = HighestSlot(_MOST_BEHIND), HighestSlot(0)
        self._taken_at: datetime | None = None
        self._asked = float("-inf")
        self._changed: WeakSet[asyncio.Event] = WeakSet()  # one for each iteration, and gone with it
        self._believed: dict[bytes, None] = {}
        self._confirmation = Confirmation()
        self._dropped = 0
        self._sockets = 0
        self._reading = PerLoop(asyncio.Lock)
        self._lookups = PerLoop(partial(Lookups, self._look_up))
        if not listing:
            self.wallets = None  # type: ignore[method-assign, assignment]  # as a provider says that it cannot list

    @property
    def dropped(self) -> int:
        """How many accounts of the last read were no entries: truncated, of another kind, or owned by another."""
        return self._dropped

    async def __aenter__(self) -> Self:
        """Return itself."""
        self._lookups().users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections, with the last of those who use it; used again, it opens them again."""
        lookups = self._lookups()
        lookups.users = max(0, lookups.users - 1)
        if not lookups.users:
            await lookups.close()
            await self._fetcher.close()

    async def wallets(self) -> Snapshot:
        """Read the list. `RegistryError`: no endpoint gave one; the message has a reason for each."""
        async with self._reading():
            await self._list()
        return self._snapshot()

    async def check(self, wallet: Wallet) -> bool:
        """Look one wallet up. `RegistryError`: no endpoint answered."""
        return await self._lookups().check(wallet)

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give the list when a subscription brings a change, and when an entry expires."""
        streams = [self._expiries()]
        if self._websockets:
            streams.append(self._notified())
        async with aclosing(merged(*streams)) as snapshots:
            async for snapshot in snapshots:
                # A list that lost too much is left to the reads, of which it takes two.
                if not loses_too_much(self._believed, self._ledger.wallets()):
                    self._believed = self._ledger.wallets()
                    yield snapshot

    async def bootstrap_nodes(self) -> list[BootstrapNode]:
        """Return the nodes that the entries name by their domain.

        The list is read again when that was last done a minute ago. While this fails the last one counts; raises as
        `wallets` when there is none yet.
        """
        if self._nodes_are_old():
            try:
                async with self._reading():
                    if self._nodes_are_old():  # still
                        await self._list()
            except RegistryError as error:
                if self._taken_at is None:
                    raise
                _log.warning("The bootstrap nodes of the last list are used: %s", error)
        nodes = []
        for wallet, domain in self._ledger.domains():
            try:
                nodes.append(BootstrapNode(wallet, domain, *self._ports))
            except ConfigError as error:
                _log.warning("A node of the registry has no usable domain: %s", error)
        return nodes

    def _nodes_are_old(self) -> bool:
        return self._taken_at is None or monotonic() - self._asked > NODES_AGE

    async def _list(self) -> None:
        self._asked = monotonic()
        await self._endpoints.ask(self._read)
        wallets = self._ledger.wallets()
        if self._confirmation.believes(self._believed, wallets):
            self._believed = wallets

    async def _read(self, url: str) -> None:
        slots: list[int] = []
        entries: dict[Pubkey, Entry] = {}
        dropped: list[str] = []
        allowance = Allowance(self._timeout)
        for query in self._rule.queries():
            take = partial(self._decode, entries=entries, dropped=dropped)
            slots.append(await self._rpc.program_accounts(url, query, self._rule.data_slice, take, allowance))
        slot = min(slots, default=0)
        self._listed_at.take(slot)
        await self._ledger.replace(slot, entries)
        self._taken_at = datetime.now(UTC)
        self._wake()
        if dropped and len(dropped) != self._dropped:
            _log.warning("%d accounts are no entries of the registry, the first: %s", len(dropped), dropped[0])
        self._dropped = len(dropped)

    def _decode(self, account: Account, entries: dict[Pubkey, Entry], dropped: list[str]) -> None:
        try:
            entry = self._rule.decode(account)
        except (ValueError, IndexError) as error:
            dropped.append(f"{account.address}: {error}")
        else:
            if entry is not None:
                entries[account.address] = entry

    async def _look_up(self, wallets: list[Wallet]) -> dict[Wallet, bool]:
        return await self._endpoints.ask(partial(self._looked_up, wallets))

    async def _looked_up(self, wallets: list[Wallet], url: str) -> dict[Wallet, bool]:
        places = {wallet: self._rule.addresses(Pubkey.from_bytes(bytes(wallet))) for wallet in wallets}
        found = [address for addresses in places.values() for address in addresses]
        entries: dict[Pubkey, Entry] = {}
        allowance = Allowance(self._timeout)
        for start in range(0, len(found), 100):
            slot, accounts = await self._rpc.accounts(url, found[start : start + 100], allowance)
            self._looked_up_at.take(slot)
            for account in filter(None, accounts):
                self._decode(account, entries, [])
        return {
            wallet: amount_of(
                entries[address]
                for address in addresses
                if address in entries and entries[address].wallet == bytes(wallet)
            )
            >= self._rule.minimum
            for wallet, addresses in places.items()
        }

    async def _notified(self) -> AsyncIterator[Snapshot]:
        url = self._websockets[self._sockets % len(self._websockets)]
        self._sockets += 1  # after a failure the next one has its turn
        stream = notifications(url, self._rule, self._commitment, self._headers, self._timeout)
        told: Collection[object] | None = None
        try:
            async for note in stream:
                if note is None:  # subscribed: what came before was not heard
                    await SolanaRegistry.wallets(self)
                    told = None
                else:
                    entries: dict[Pubkey, Entry] = {}
                    self._decode(note.account, entries, [])
                    self._ledger.update(note.slot, note.account.address, entries.get(note.account.address))
                    self._wake()
                # Not by what this note has changed: another iteration, or a read, may have put it down before.
                if (listed := self._ledger.wallets().keys()) != told:
                    told = listed
                    yield self._snapshot()
        except RegistryError as error:
            raise RegistryError(f"{label(url)}: {error}") from None

    def _wake(self) -> None:
        for changed in self._changed:
            changed.set()

    async def _expiries(self) -> AsyncIterator[Snapshot]:
        changed = asyncio.Event()
        self._changed.add(changed)
        while True:
            changed.clear()
            expiry = self._ledger.next_expiry()
            nap = _LONGEST_NAP if expiry is None else min(max(expiry - time(), 0.0), _LONGEST_NAP)
            before = self._ledger.wallets()
            try:
                async with asyncio.timeout(nap):
                    await changed.wait()
            except TimeoutError:
                if self._ledger.wallets().keys() != before.keys():
                    yield self._snapshot()

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            wallets=tuple(self._ledger.wallets()),
            source=label(self._endpoints.serving),
            taken_at=self._taken_at or datetime.now(UTC),
        )
