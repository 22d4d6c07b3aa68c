"""Advisories of which a version is all the defence there is: none of what is locked is older."""

from __future__ import annotations

import pytest

from tests.security.advisories import FLOORS, REPLAYED, ROOT, too_old, version

LOCK = (ROOT / "Cargo.lock").read_text(encoding="utf-8")


def test_w7_the_pack_covers_what_applies() -> None:
    assert len(REPLAYED) >= 14
    assert all(REPLAYED.values())


def test_w7_nothing_that_is_locked_is_below_a_floor() -> None:
    assert too_old(LOCK) == {}


@pytest.mark.parametrize("number", FLOORS)
def test_w7_a_version_below_the_floor_is_found(number: str) -> None:
    for name, floor in FLOORS[number].items():
        assert f'name = "{name}"' in LOCK, "a floor of something that is not used"
        major, minor, patch = version(floor)
        below = f"{major - (minor == patch == 0)}.{minor - (minor > 0 == patch)}.{patch - 1 if patch else 99}"
        lock = f'[[package]]\nname = "{name}"\nversion = "{{}}"\n'
        assert too_old(lock.format(below))[number] == [f"{name} {below}"]
        assert number not in too_old(lock.format(floor))
        assert number not in too_old(lock.format(f"{floor}+build"))
