"""Configurations for tests, right and wrong ones."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Config, ConfigError, Keypair

if TYPE_CHECKING:
    from pathlib import Path

    from depinmesh.errors import ConfigProblem

KEY, OTHER = Keypair.from_seed(bytes(range(32))), Keypair.from_seed(bytes(32))
WALLETS = [KEY.wallet, OTHER.wallet]
SECRET = KEY.to_base58()


def config(**fields: Any) -> Config:
    """Make a configuration with what is required."""
    return Config(**{"private_key": KEY, "authorized_wallets": [], **fields})


def problems(**fields: Any) -> dict[str, ConfigProblem]:
    """Return the problems of a wrong configuration by their path."""
    with pytest.raises(ConfigError) as caught:
        config(**fields)
    found = {problem.path: problem for problem in caught.value.errors}
    assert len(found) == len(caught.value.errors)
    return found


def key_file(folder: Path, key: Keypair = KEY, name: str = "node.key") -> Path:
    file = folder / name
    file.write_text(key.to_base58())
    file.chmod(0o600)
    return file


def yaml(folder: Path, text: str) -> Path:
    file = folder / "node.yaml"
    file.write_text(textwrap.dedent(text))
    file.chmod(0o600)
    return file


def complete(**fields: Any) -> dict[str, Any]:
    return {"private_key": KEY, "authorized_wallets": WALLETS, **fields}
