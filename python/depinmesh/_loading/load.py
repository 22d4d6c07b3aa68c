"""The layers together: read, merged, turned into values, checked, and every wrong one reported with who gave it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from depinmesh._loading.document import document_layer
from depinmesh._loading.environment import environment_layer
from depinmesh._loading.layers import SOURCE_FIELDS, Given, Layer, below, flat, merged, nested, source_of
from depinmesh._loading.options import field_of, is_group
from depinmesh._loading.sources import SourceError, imported, made_source
from depinmesh._loading.text import from_text
from depinmesh._paths import expanded
from depinmesh.config import Config
from depinmesh.errors import ConfigError, ConfigProblem, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

    from depinmesh.config import ConfigFields

_OWN_REGISTRY = "registry"  # as `bootstrap_nodes`: ask the provider of `authorized_wallets`


class Loaded(NamedTuple):
    """A configuration, and what it was made of."""

    config: Config
    layer: Layer
    """What was given, by whom; what is not here is a default."""


def load(
    path: str | os.PathLike[str] | None,
    *,
    env: bool = True,
    fields: Mapping[str, object] | None = None,
    options: Layer | None = None,
) -> Loaded:
    """Read a file and the environment, put keywords and then the command line's options over them, and check it all."""
    layers = [] if path is None else [document_layer(path)]
    if env:
        layers.append(environment_layer())
    layers.append(flat(dict(fields or {}), lambda path, value: Given(value, f"the argument {'.'.join(path)}")))
    layers.append(options or {})
    return checked(merged(layers))


def checked(layer: Layer) -> Loaded:
    """Make a configuration of what was given."""
    values, problems = _values(layer)
    try:
        config = Config(**cast("ConfigFields", nested(values)))
    except ConfigError as error:
        problems += error.errors
    if problems:
        raise ConfigError.of(_located(problem, layer) for problem in problems)
    return Loaded(config, layer)


def _values(layer: Layer) -> tuple[Layer, list[ConfigProblem]]:
    """Return the layer with values in the place of texts, and what cannot be made one."""
    layer = {path: given for path, given in layer.items() if not _is_left_out(path, given)}
    values: Layer = {}
    problems: list[ConfigProblem] = []
    for path, given in layer.items():
        field = field_of(path)
        if path[0] in (*SOURCE_FIELDS, "databases"):
            continue
        try:
            value = given.value if field is None else _value(path, given, field)
        except ValueError as error:
            hint = field.description if field is not None else None
            problems.append(ConfigProblem(".".join(path), None, str(error), hint))
        except SourceError as error:
            problems += [problem.under(".".join(path)) for problem in error.problems]
        else:
            values[path] = given._replace(value=value)
    _add_sources(layer, values, problems)
    return values, problems


def _is_left_out(path: tuple[str, ...], given: Given) -> bool:
    """Whether a group or a list stands there without anything in it, as when all below it is commented out."""
    return given.value is None and len(path) == 1 and (is_group(path[0]) or path[0] in (*SOURCE_FIELDS, "databases"))


def _value(path: tuple[str, ...], given: Given, field: FieldInfo) -> object:
    if path == ("logger",) and isinstance(given.value, str):
        return imported(given.value, given.folder)
    value = from_text(given.value, field)
    if path == ("key_file",) and given.folder is not None and isinstance(value, str | Path):
        return given.folder / expanded(value)
    return value


def _add_sources(layer: Layer, values: Layer, problems: list[ConfigProblem]) -> None:
    for path in _source_paths(layer):
        given = below(layer, path)
        try:
            if path == ("bootstrap_nodes",) and () in given and given[()].value == _OWN_REGISTRY:
                source = _own_registry(values)
            else:
                source = made_source(given)
        except SourceError as error:
            problems += [problem.under(".".join(path)) for problem in error.problems]
            source = ()
        values[path] = next(iter(given.values()))._replace(value=source)


def _source_paths(layer: Layer) -> list[tuple[str, ...]]:
    """Return where sources stand, that of the wallets first."""
    paths = {path[:1]: None for path in layer if path[0] in SOURCE_FIELDS}
    databases = {path[:2]: None for path in layer if path[0] == "databases"}
    return [*sorted(paths), *databases]


def _own_registry(values: Layer) -> object:
    wallets = values.get(("authorized_wallets",))
    if wallets is None or not callable(getattr(wallets.value, "bootstrap_nodes", None)):
        reason = "stands for the registry of authorized_wallets, which knows no nodes"
        raise SourceError(ConfigProblem("", shown(_OWN_REGISTRY), reason, "give a list, or another registry"))
    return wallets.value


def _located(problem: ConfigProblem, layer: Layer) -> ConfigProblem:
    """Add who gave the value, and show it as it was given."""
    if problem.source is not None:
        return problem
    path = tuple(re.sub(r"\[\d+\]", "", problem.path).split("."))
    given = source_of(path, layer)
    if given is None:
        return problem
    field = field_of(path)
    if path in layer and isinstance(given.value, str) and field is not None and field.repr and "[" not in problem.path:
        problem = problem._replace(value=shown(given.value))
    return problem._replace(source=given.source)
