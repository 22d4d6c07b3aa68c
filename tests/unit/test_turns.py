"""The turns of a busy consumer."""

from __future__ import annotations

import pytest

from depinmesh import _turns
from depinmesh._turns import Turns


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_turns, "monotonic", clock)
    return clock


def test_a_turn_is_eight_batches(clock: Clock) -> None:
    turns = Turns()
    turns.begin()
    assert [turns.is_over() for _ in range(8)] == [False] * 7 + [True]
    turns.begin()
    assert not turns.is_over()
    assert clock.now == 0


def test_a_turn_is_a_millisecond(clock: Clock) -> None:
    turns = Turns()
    turns.begin()
    clock.now += 0.0009
    assert not turns.is_over()
    clock.now += 0.0002
    assert turns.is_over()


def test_batches_grow_for_a_quick_consumer(clock: Clock) -> None:
    turns = Turns()
    sizes = []
    for _ in range(8):
        sizes.append(turns.batch)
        clock.now += 0.0001
        turns.is_over()
    assert sizes == [16, 32, 64, 128, 256, 256, 256, 256]


def test_batches_shrink_for_a_slow_consumer_and_never_to_nothing(clock: Clock) -> None:
    turns = Turns()
    for _ in range(10):
        clock.now += 0.002
        turns.is_over()
    assert turns.batch == 1
