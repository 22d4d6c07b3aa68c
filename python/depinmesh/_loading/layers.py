"""Layers of a configuration: each a flat table of paths, merged so that the higher one wins, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path as FilePath

Path: TypeAlias = tuple[str, ...]
"""Where a value belongs: `("gate", "timeout")`."""

KEY_FIELDS = ("private_key", "key_file")
SOURCE_FIELDS = ("authorized_wallets", "bootstrap_nodes")


class Given(NamedTuple):
    """A value, and who gave it."""

    value: object
    source: str
    """For people: `node.yaml line 3`, `DEPINMESH_GATE__TIMEOUT`."""
    folder: FilePath | None = None
    """What its relative paths are relative to; `None`: the working directory."""


Layer: TypeAlias = dict[Path, Given]


def flat(value: object, given: Callable[[Path, object], Given], path: Path = ()) -> Layer:
    """Return the leaves of nested mappings; an empty mapping has none."""
    if not isinstance(value, Mapping):
        return {path: given(path, value)}
    layer: Layer = {}
    for name, inner in value.items():
        layer |= flat(inner, given, (*path, str(name)))
    return layer


def below(layer: Layer, path: Path) -> Layer:
    """Return what stands at a path and below it, as seen from there."""
    return {inner[len(path) :]: given for inner, given in layer.items() if inner[: len(path)] == path}


def nested(layer: Layer) -> dict[str, object]:
    """Return the nested mappings that a layer stands for."""
    result: dict[str, object] = {}
    for path, given in layer.items():
        below = result
        for name in path[:-1]:
            below = below.setdefault(name, {})  # type: ignore[assignment]  # `merged` lets no value be a prefix
        below[path[-1]] = given.value
    return result


def merged(layers: Iterable[Layer]) -> Layer:
    """Merge layers, the lowest first.

    A key replaces the key of the layers below in either form, and a registry of another type replaces all of the one
    below; everything else is field by field.
    """
    result: Layer = {}
    for layer in layers:
        for path, given in layer.items():
            if path[0] in KEY_FIELDS:
                if _is_empty(given):
                    continue
                unwanted = [lower for lower in result if lower[0] in KEY_FIELDS and lower not in layer]
            elif path[-1] == "type" and given.value != result.get(path, given).value:
                unwanted = [lower for lower in result if lower[: len(path) - 1] == path[:-1] and lower not in layer]
            else:
                unwanted = [lower for lower in result if lower != path and _nests(lower, path) and lower not in layer]
            for lower in unwanted:
                del result[lower]
            result[path] = given
    return result


def source_of(path: Path, layer: Layer) -> Given | None:
    """Return who gave the value at a path, or what it stands in."""
    for length in range(len(path), 0, -1):
        if path[:length] in layer:
            return layer[path[:length]]
    return next((given for inner, given in layer.items() if inner[: len(path)] == path), None)


def _nests(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _is_empty(given: Given) -> bool:
    return given.value is None or given.value == ""
