"""Registries and bootstrap lists of a file: a list, a provider by its type, or `module:function`."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depinmesh._loading.text import converted, items
from depinmesh.errors import ConfigError, ConfigProblem, MeshError, shown, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_COMBINED = ("any_of", "all_of")
_FORMS = "a list, `module:function`, or a mapping with `type` and the arguments of a registry"


class SourceError(Exception):
    """A source cannot be made; `problems` says why, seen from the source."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__()
        self.problems = problems


def made_source(value: object, folder: Path | None) -> object:
    """Return the list, function or provider that a value stands for.

    Args:
        value: Text, a list, a mapping with `type`, or what is a source already.
        folder: Where modules and files of relative names are looked for, too; `None`: the working directory.

    Raises:
        SourceError: There is no such thing, or it cannot be made.
    """
    if isinstance(value, str):
        text = value.strip()
        return imported(text, folder) if _REFERENCE.fullmatch(text) else items(text)
    if isinstance(value, Mapping):
        return _provider(value, folder)
    return value


def imported(reference: str, folder: Path | None) -> object:
    """Return what `module:name` names. The module may stand in the folder; an installed one goes before it."""
    module, _, names = reference.partition(":")
    if not _REFERENCE.fullmatch(reference):
        raise _wrong(reference, "is not of the form module:name", None)
    place = str((folder or Path()).absolute())
    if place not in sys.path:
        sys.path.append(place)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # noqa: BLE001  # whatever a user's module does when it is imported
        reason = f"cannot be imported: {type(error).__name__}: {without_secrets(str(error))}"
        raise _wrong(reference, reason, f"modules are looked for where Python does, and in {place}") from None
    for name in names.split("."):
        if not hasattr(found, name):
            near = get_close_matches(name, vars(found) if hasattr(found, "__dict__") else (), n=1)
            raise _wrong(reference, f"has no {name}", f"did you mean {near[0]}?" if near else None)
        found = getattr(found, name)
    return found


def _provider(given: Mapping[str, object], folder: Path | None) -> object:
    arguments = dict(given)
    kind = arguments.pop("type", None)
    types = source_types()
    if kind is None:
        raise SourceError(ConfigProblem("type", None, "is missing", f"{_FORMS}; types are {', '.join(types)}"))
    if not isinstance(kind, str) or kind not in types:
        near = get_close_matches(str(kind), types, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(types)}"
        raise SourceError(ConfigProblem("type", shown(kind), "is no type of registry", hint))
    make = _class(types[kind])
    if kind in _COMBINED:
        return _call(make, _parts(arguments, folder), {})
    return _call(make, [], _arguments(make, arguments, folder))


def source_types() -> dict[str, str]:
    """Return the names in `depinmesh.registry` by the type that a file gives."""
    try:
        names = importlib.import_module("depinmesh.registry").__all__
    except ImportError:
        names = []
    classes = {name.removesuffix("Registry").lower(): name for name in names if name.endswith("Registry")}
    return classes | {name: name for name in names if name in _COMBINED}


def _class(name: str) -> Callable[..., object]:
    try:
        found: Callable[..., object] = getattr(importlib.import_module("depinmesh.registry"), name)
    except (ImportError, MeshError) as error:
        raise SourceError(ConfigProblem("type", None, str(error), None)) from None
    return found


def _parts(arguments: Mapping[str, object], folder: Path | None) -> list[object]:
    sources = arguments.get("sources")
    if arguments.keys() != {"sources"} or not isinstance(sources, list):
        raise SourceError(ConfigProblem("sources", None, "must be the only argument, and a list", _FORMS))
    made, problems = [], []
    for index, source in enumerate(sources):
        try:
            made.append(made_source(source, folder))
        except SourceError as error:
            problems += [problem.under(f"sources[{index}]") for problem in error.problems]
    if problems:
        raise SourceError(*problems)
    return made


def _arguments(make: Callable[..., object], given: Mapping[str, object], folder: Path | None) -> dict[str, object]:
    """Return the arguments as the class takes them; text becomes numbers and paths where its annotations say so."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    problems = [
        ConfigProblem(name, None, "is not an argument of this registry", _nearest(name, parameters))
        for name in given
        if name not in parameters
    ]
    problems += [
        ConfigProblem(name, None, "is required", None)
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in given
    ]
    if problems:
        raise SourceError(*problems)
    made, wrong = {}, []
    for name, value in given.items():
        try:
            unit = "bytes" if name.endswith("size") else None
            made[name] = _argument(value, _words(parameters[name]), folder, unit)
        except SourceError as error:
            wrong += [problem.under(name) for problem in error.problems]
    if wrong:
        raise SourceError(*wrong)
    return made


def _argument(value: object, words: set[str], folder: Path | None, unit: str | None) -> object:
    if "WalletSource" in words:
        return made_source(value, folder)
    if not isinstance(value, str) or "Keypair" in words:
        return value
    if words & {"Path", "PathLike"}:
        return (folder or Path()) / Path(value).expanduser()
    if "str" in words or not words & {"float", "int", "bool"}:
        return value
    try:
        return converted(value, {base for base in (bool, float, int) if base.__name__ in words}, unit)
    except ValueError as error:
        raise SourceError(ConfigProblem("", shown(value), str(error), None)) from None


def _words(parameter: inspect.Parameter) -> set[str]:
    """Return the words of an annotation, which may be text with names that are imported for type checkers alone."""
    return set(re.findall(r"\w+", str(parameter.annotation)))


def _call(make: Callable[..., object], parts: list[object], arguments: Mapping[str, object]) -> object:
    try:
        return make(*parts, **arguments)
    except ConfigError as error:
        raise SourceError(*error.errors) from None
    except (MeshError, ValueError, TypeError, ImportError) as error:
        raise SourceError(ConfigProblem("", None, without_secrets(str(error)), None)) from None


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _wrong(value: str, reason: str, hint: str | None) -> SourceError:
    return SourceError(ConfigProblem("", shown(value), reason, hint))
