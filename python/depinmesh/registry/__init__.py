"""Registries: where the list of wallets comes from. Any of them is given as `authorized_wallets`.

Each name is imported from its module when it is first used, so that what needs an extra costs nothing without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depinmesh.registry.cached import CachedRegistry
    from depinmesh.registry.combined import all_of, any_of
    from depinmesh.registry.file import FileRegistry
    from depinmesh.registry.http import HttpRegistry
    from depinmesh.registry.logged import LoggedRegistry, RegistryStats
    from depinmesh.registry.snapshot import Snapshot
    from depinmesh.registry.solana import SolanaRegistry
    from depinmesh.registry.static import StaticRegistry

__all__ = [
    "CachedRegistry",
    "FileRegistry",
    "HttpRegistry",
    "LoggedRegistry",
    "RegistryStats",
    "Snapshot",
    "SolanaRegistry",
    "StaticRegistry",
    "all_of",
    "any_of",
]

_MODULES = {
    "cached": ("CachedRegistry",),
    "combined": ("all_of", "any_of"),
    "file": ("FileRegistry",),
    "http": ("HttpRegistry",),
    "logged": ("LoggedRegistry", "RegistryStats"),
    "snapshot": ("Snapshot",),
    "solana": ("SolanaRegistry",),
    "static": ("StaticRegistry",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # or the checkers would take every name for one of the package

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (PEP 562)."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"depinmesh.registry.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(set(globals()) | set(__all__))
