"""What `depinmesh bench sub` makes of messages."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from depinmesh.cli.bench import _sent_at

NOW = datetime.now(UTC)


def event(message: object) -> Any:
    return SimpleNamespace(message=message, received_at=NOW)


def test_a_message_of_bench_says_when_it_was_sent() -> None:
    assert _sent_at(event({"n": 1, "at": 1.5})) == 1.5


@pytest.mark.parametrize(
    "message", [{"at": 10**400}, {"at": "nan"}, {"at": "-inf"}, {"at": "soon"}, {"at": None}, {}, [1], "at", None]
)
def test_messages_of_others_count_as_sent_when_they_came(message: object) -> None:
    assert _sent_at(event(message)) == NOW.timestamp()
