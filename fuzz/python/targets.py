"""One function for each thing in Python that reads what others wrote, as `fuzz/src` has them of the core.

Each takes any bytes. It returns, or raises what breaks a promise: another error than the documented one, or an
`AssertionError`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from solders.pubkey import Pubkey

from depinmesh import BootstrapNode, Config
from depinmesh.bootstrap import parse_node
from depinmesh.errors import ConfigError, RegistryError
from depinmesh.multiaddr import parse_multiaddr
from depinmesh.registry._document import read_document
from depinmesh.registry._solana_rules import (
    DELEGATION_PROGRAM,
    DTELECOM_PROGRAM,
    TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM,
    Account,
    DTelecomRule,
    Rule,
    TokenRule,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SUFFIXES = (".txt", ".json", ".yaml")
REGISTRY = Pubkey.from_bytes(bytes([9]) * 32)
RULES: tuple[tuple[Rule, Pubkey], ...] = (
    (DTelecomRule(REGISTRY, clients=True), DTELECOM_PROGRAM),
    (DTelecomRule(REGISTRY), DELEGATION_PROGRAM),
    (TokenRule(Pubkey.default()), TOKEN_PROGRAM),
    (TokenRule(Pubkey.default()), TOKEN_2022_PROGRAM),
)
WALLET_BYTES = 32


def bootstrap(data: bytes) -> None:
    """Read one entry of a bootstrap list: what it is read as is written and read the same."""
    text = data.decode(errors="surrogateescape")
    try:
        node = parse_node(text)
    except ConfigError:
        return
    if isinstance(node, str):
        assert parse_multiaddr(node).peer_id is not None
        return
    assert BootstrapNode.parse(str(node)) == node
    for address in node.multiaddrs():
        read = parse_multiaddr(address)
        assert (read.host, read.peer_id) == (node.host, node.wallet.peer_id)


def document(data: bytes) -> None:
    """Read a list of wallets out of text; the first byte says of which form."""
    text = data[1:].decode(errors="replace")
    try:
        found = read_document(text, "list", SUFFIXES[data[0] % len(SUFFIXES)] if data else "")
    except RegistryError:
        return
    assert len(set(found.wallets)) == len(found.wallets)
    assert all(str(wallet) in text or "\\" in text for wallet in found.wallets)


def account(data: bytes) -> None:
    """Read an account of a Solana program; the first byte says of which."""
    rule, owner = RULES[data[0] % len(RULES)] if data else RULES[0]
    content = data[1:]
    try:
        entry = rule.decode(Account(REGISTRY, owner, content, len(content)))
    except ValueError:
        return
    if entry is not None:
        assert entry.wallet in content
        assert len(entry.wallet) == WALLET_BYTES
        assert entry.amount >= 0


def config(data: bytes) -> None:
    """Read a configuration file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "node.yaml"
        path.touch(mode=0o600)
        path.write_bytes(data)
        try:
            read = Config.load(path, env=False)
        except ConfigError:
            return
        assert Config.load(path, env=False).database == read.database


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "account": account,
    "bootstrap": bootstrap,
    "config": config,
    "document": document,
}
