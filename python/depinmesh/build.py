"""What this is: the version, and everything that a bug report needs to name."""

import platform
import sys

from depinmesh import _core


def version() -> str:
    """Return the version of depinmesh. The core has it, so that package and core cannot differ."""
    return _core.versions()["depinmesh"]


def build_info() -> dict[str, str]:
    """Return the versions that matter for a bug report: of depinmesh, libp2p, Python, pydantic and the platform."""
    import pydantic  # costs 100 ms, which only a caller should pay

    return {
        **_core.versions(),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": platform.platform(),
        "pydantic": pydantic.VERSION,
    }
