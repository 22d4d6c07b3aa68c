"""What holds for every unit test."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment says of a configuration."""
    for name in os.environ:
        if name.startswith("DEPINMESH_"):
            monkeypatch.delenv(name)
