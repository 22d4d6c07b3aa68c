"""Subscriptions to the accounts of a rule, by the WebSocket client of the package `solana`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from solana.rpc.models import DataSliceOpts, MemcmpOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.rpc.responses import ProgramNotification

from depinmesh import _base58
from depinmesh.errors import RegistryError, without_secrets
from depinmesh.registry._fetch import label
from depinmesh.registry._solana_rpc import padded
from depinmesh.registry._solana_rules import Account

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from depinmesh.registry._solana_rules import Query, Rule

# Notifications that may wait; with more the connection is given up, and the list read anew.
_QUEUE = 4096

# The library raises what goes wrong, and logs paths and headers, where keys stand.
_silent = logging.Logger("depinmesh.registry.websocket")  # noqa: LOG001  # not among those of the process
_silent.disabled = True


class Note(NamedTuple):
    """An account as of a slot."""

    slot: int
    account: Account


async def notifications(
    url: str, rule: Rule, commitment: Any, headers: Mapping[str, str] | None, timeout: float
) -> AsyncIterator[Note | None]:
    """Give `None` once all subscriptions are live, then what changes.

    Raises:
        RegistryError: The connection cannot be made, or has ended.
    """
    client = SolanaWsClient(
        url,
        request_timeout=timeout,
        notification_queue_size=_QUEUE,
        open_timeout=timeout,
        close_timeout=1.0,
        additional_headers=dict(headers or {}),
        proxy=None,
        logger=_silent,
    )
    try:
        async with client:
            for query in rule.queries():
                await _subscribe(client, query, rule, commitment)
            yield None
            async for note in client:
                if isinstance(note, ProgramNotification):
                    yield _note(note, rule)
    except RegistryError:
        raise
    except Exception as error:  # noqa: BLE001  # of two libraries, each with errors of its own
        text = without_secrets(str(error).replace(url, label(url)))[:200]
        raise RegistryError(f"{type(error).__name__}: {text}") from None
    raise RegistryError("the connection was closed")


async def _subscribe(client: SolanaWsClient, query: Query, rule: Rule, commitment: Any) -> None:
    size = [] if query.size is None else [query.size]
    memcmp = [MemcmpOpts(offset=offset, bytes=_base58.encode(content)) for offset, content in query.memcmp]
    data_slice = rule.data_slice
    await client.program_subscribe(
        program_id=query.program,
        commitment=commitment,
        encoding="base64",
        filters=[*size, *memcmp],
        data_slice=None if data_slice is None else DataSliceOpts(offset=data_slice[0], length=data_slice[1]),
    )


def _note(note: ProgramNotification, rule: Rule) -> Note:
    value = note.result.value
    data = padded(bytes(value.account.data), rule.data_slice)
    space = len(data) if rule.data_slice is None else None
    return Note(note.result.context.slot, Account(value.pubkey, value.account.owner, data, space))
