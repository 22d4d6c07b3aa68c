"""Paths that users write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return it with the home folder in the place of `~`. `ValueError`: there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, and there is no such home folder") from None
