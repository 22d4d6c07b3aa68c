"""Events as users hold them; those that a node publishes are of the same class as those it receives."""

from __future__ import annotations

import copy
import pickle
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from depinmesh import Database, Keypair, PeerId, Wallet, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MESSAGE = {"room": "r1", "load": 0.5, "big": 2**70, "list": [1, None, True], "text": "žluť <&> \u2028"}


@pytest.fixture
def key() -> Keypair:
    return Keypair.generate()


@pytest.fixture
async def database(key: Keypair) -> AsyncIterator[Database]:
    """Of a node that is alone: it needs nobody to publish."""
    listen = {"hosts": ("127.0.0.1",), "quic_port": 0, "tcp_port": None}
    async with connect(private_key=key, authorized_wallets=[key.wallet], listen=listen) as opened:
        yield opened


async def test_a_published_event_has_every_field(database: Database, key: Keypair) -> None:
    before = datetime.now(UTC)
    event = await database.publish("rooms", MESSAGE)
    after = datetime.now(UTC)

    assert str(UUID(event.id)) == event.id
    assert event.topic == "rooms"
    assert event.message == MESSAGE
    assert (event.from_peer, event.wallet) == (key.peer_id, key.wallet)
    assert (type(event.from_peer), type(event.wallet)) == (PeerId, Wallet)
    assert before - timedelta(milliseconds=1) <= event.received_at <= after
    assert event.time == datetime.fromtimestamp(event.timestamp, UTC)
    assert timedelta() <= event.received_at - event.time < timedelta(seconds=1)
    assert event.time.tzinfo is UTC


async def test_the_message_is_decoded_once_from_its_text(database: Database) -> None:
    event = await database.publish("rooms", MESSAGE)
    assert event.message is event.message
    assert event.message_json.startswith(b'{"room":"r1","load":0.5,"big":1180591620717411303424,')
    null = await database.publish("rooms", None)
    assert (null.message, null.message_json) == (None, b"null")


async def test_events_are_equal_by_author_id_and_topic(database: Database) -> None:
    first = await database.publish("rooms", 1)
    second = await database.publish("rooms", 1)
    assert first == first  # noqa: PLR0124
    assert first != second
    assert first != object()
    assert len({first, second, first}) == 2


async def test_an_event_never_changes(database: Database) -> None:
    event = await database.publish("rooms", 1)
    for name in ("id", "topic", "message", "new"):
        with pytest.raises(AttributeError):
            setattr(event, name, "x")
    for escape in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            escape(event)


async def test_repr_says_which_event_but_not_what_is_in_it(database: Database) -> None:
    event = await database.publish("a'b\\n" + "x" * 100, {"secret": "s"})
    pattern = rf"Event\(id='{event.id}', topic='a\\'b\\\\nx{{59}}\.\.\.', from_peer='{event.from_peer}', 14 bytes\)"
    assert re.fullmatch(pattern, repr(event)), repr(event)
