"""Which accounts of a Solana program list wallets, and what they say: layouts as rules."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from solders.pubkey import Pubkey

if TYPE_CHECKING:
    from collections.abc import Sequence

DTELECOM_PROGRAM = Pubkey.from_string("E2FcHsC9STeB6FEtxBKGAwMTX7cbfYMyjSHKs4QbBAmh")
DELEGATION_PROGRAM = Pubkey.from_string("DELeGGvXpWV2fqJUhqcF5ZSYMS4JTLjteaAMARRSaeSh")
TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ASSOCIATED_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


class Query(NamedTuple):
    """One `getProgramAccounts`, or `programSubscribe`."""

    program: Pubkey
    size: int | None
    """Bytes that an account has; `None`: any number."""
    memcmp: tuple[tuple[int, bytes], ...]
    """Bytes that stand at an offset."""


class Account(NamedTuple):
    """An account as it came. Offsets in `data` are those on chain; bytes that were not asked for are zero."""

    address: Pubkey
    owner: Pubkey
    data: bytes
    space: int | None
    """Bytes that it has; `None`: only a part was asked for, and nothing was said."""


class Entry(NamedTuple):
    """What an account says of a wallet."""

    wallet: bytes
    amount: int = 1
    """Counts towards the minimum of the rule."""
    until: int | None = None
    """Unix time from which on it says nothing any more."""
    domain: str | None = None
    """DNS name of the wallet's node."""


class Rule(Protocol):
    """How the accounts of a program are found and read. One of your own makes `SolanaRegistry` read any program."""

    @property
    def minimum(self) -> int:
        """A wallet is listed when the amounts of its entries reach this."""

    @property
    def data_slice(self) -> tuple[int, int] | None:
        """Offset and length of the bytes to fetch; `None`: all."""

    def queries(self) -> Sequence[Query]:
        """Return what to list."""

    def decode(self, account: Account) -> Entry | None:
        """Read one account; `None`: it lists nobody now. `ValueError`: it is no entry, and is dropped and counted.

        Listings are decoded in a thread of their own, notifications and look-ups on the loop.
        """

    def addresses(self, wallet: Pubkey) -> Sequence[Pubkey]:
        """Return the accounts that a wallet's entries would have, to check it alone."""


def discriminator(name: str) -> bytes:
    """Return the first 8 bytes of an account of an Anchor program."""
    return hashlib.sha256(f"account:{name}".encode()).digest()[:8]


_NODE, _CLIENT = discriminator("NodeEntry"), discriminator("ClientEntry")
_NODE_SIZE, _CLIENT_SIZE = 334, 84
_PARENT, _WALLET, _BODY = 8, 40, 72  # offsets
_LONGEST_DOMAIN = 253


@dataclass(frozen=True)
class DTelecomRule:
    """Nodes and clients of dTelecom's registry program: active nodes, clients until they expire.

    A node may be delegated to a rollup, and then belongs to the delegation program: what stands there counts only at
    the address that is derived from wallet and registry. Layouts: dTelecom/registry-program.
    """

    registry: Pubkey
    program: Pubkey = DTELECOM_PROGRAM
    nodes: bool = True
    clients: bool = False
    minimum: int = 1
    data_slice: tuple[int, int] | None = None

    def queries(self) -> list[Query]:
        """Return what to list."""
        parent = (_PARENT, bytes(self.registry))
        found = []
        if self.nodes:
            owners = (self.program, DELEGATION_PROGRAM)
            found += [Query(owner, _NODE_SIZE, ((0, _NODE), parent)) for owner in owners]
        if self.clients:
            found.append(Query(self.program, _CLIENT_SIZE, ((0, _CLIENT), parent)))
        return found

    def decode(self, account: Account) -> Entry | None:
        """Read one account."""
        data = account.data
        if len(data) < _BODY:
            raise ValueError(f"{len(data)} bytes are too few for an entry")
        if data[_PARENT:_WALLET] != bytes(self.registry):
            raise ValueError("it belongs to another registry")
        if account.owner != self.program:
            self._check_delegated(account)
        wallet = data[_WALLET:_BODY]
        if data[:8] == _NODE and self.nodes:
            return _node(data, wallet)
        if data[:8] == _CLIENT and self.clients:
            if len(data) != _CLIENT_SIZE:
                raise ValueError(f"a client has {_CLIENT_SIZE} bytes, not {len(data)}")
            return Entry(wallet, until=int.from_bytes(data[_BODY : _BODY + 8], "little", signed=True))
        raise ValueError("the discriminator is none that is listed here")

    def addresses(self, wallet: Pubkey) -> list[Pubkey]:
        """Return the one address of a wallet in this registry."""
        return [self._address(bytes(wallet))]

    def _address(self, wallet: bytes) -> Pubkey:
        return Pubkey.find_program_address([wallet, bytes(self.registry)], self.program)[0]

    def _check_delegated(self, account: Account) -> None:
        if account.owner != DELEGATION_PROGRAM:
            raise ValueError(f"it is owned by {account.owner}")
        if account.address != self._address(account.data[_WALLET:_BODY]):
            raise ValueError("it is delegated, and not at the address of its wallet")


def _node(data: bytes, wallet: bytes) -> Entry | None:
    if len(data) != _NODE_SIZE:
        raise ValueError(f"a node has {_NODE_SIZE} bytes, not {len(data)}")
    length = int.from_bytes(data[_BODY : _BODY + 4], "little")
    if length > _LONGEST_DOMAIN:
        raise ValueError(f"its domain has {length} bytes")
    end = _BODY + 4 + length
    active = data[end + 4]  # behind `online`, four bytes
    if active > 1:
        raise ValueError(f"its flag `active` is {active}")
    if not active:
        return None
    try:
        domain = data[_BODY + 4 : end].decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("its domain is not ASCII") from None
    return Entry(wallet, domain=domain or None)


_TOKEN_SIZE, _MULTISIG_SIZE = 165, 355
_OWNER, _AMOUNT, _STATE = 32, 64, 108  # offsets
_INITIALIZED, _TOKEN_ACCOUNT = 1, 2


@dataclass(frozen=True)
class TokenRule:
    """Holders of a token of SPL Token or Token-2022: so many of it over all accounts that are not frozen.

    A wallet is checked alone by its associated token accounts. Layouts: spl-token `Account`, and the account type that
    Token-2022 writes behind it.
    """

    mint: Pubkey
    minimum: int = 1
    data_slice: tuple[int, int] | None = (_OWNER, _STATE + 1 - _OWNER)

    def queries(self) -> list[Query]:
        """Return what to list."""
        mint = (0, bytes(self.mint))
        return [
            Query(TOKEN_PROGRAM, _TOKEN_SIZE, (mint,)),
            Query(TOKEN_2022_PROGRAM, _TOKEN_SIZE, (mint,)),
            Query(TOKEN_2022_PROGRAM, None, (mint, (_TOKEN_SIZE, bytes([_TOKEN_ACCOUNT])))),
        ]

    def decode(self, account: Account) -> Entry | None:
        """Read one account."""
        data = account.data
        if account.owner not in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM):
            raise ValueError(f"it is owned by {account.owner}")
        space = _TOKEN_SIZE if account.space is None else account.space
        if len(data) <= _STATE or space < _TOKEN_SIZE or space == _MULTISIG_SIZE:
            raise ValueError(f"it has {space} bytes, and is no token account")
        if any(data[:_OWNER]) and data[:_OWNER] != bytes(self.mint):
            raise ValueError("it holds another token")
        if data[_STATE] != _INITIALIZED:
            return None  # frozen, or not in use
        return Entry(data[_OWNER:_AMOUNT], amount=int.from_bytes(data[_AMOUNT : _AMOUNT + 8], "little"))

    def addresses(self, wallet: Pubkey) -> list[Pubkey]:
        """Return the associated accounts of both programs."""
        return [
            Pubkey.find_program_address([bytes(wallet), bytes(program), bytes(self.mint)], ASSOCIATED_PROGRAM)[0]
            for program in (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)
        ]
