"""Fixtures that several files of tests share: a chain, a node to be found, and a fleet of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, connect
from tests.commands import Fleet, running_fleet
from tests.integration.known import KnownNode
from tests.support import fields_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from depinmesh.testing.chain import LocalChain


@pytest.fixture
async def chain() -> AsyncIterator[LocalChain]:
    """A chain in this process, without anything on it."""
    from depinmesh.testing.chain import LocalChain  # needs packages that only tests of Solana need

    async with LocalChain() as one:
        yield one


@pytest.fixture
async def known() -> AsyncIterator[KnownNode]:
    """A node that another one finds by its entries."""
    key, joining_key = Keypair.generate(), Keypair.generate()
    async with connect(**fields_of(key, [key.wallet, joining_key.wallet])) as db:
        yield KnownNode(db, key, joining_key)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three nodes that commands made."""
    with running_fleet(tmp_path_factory.mktemp("fleet")) as members:
        yield members
