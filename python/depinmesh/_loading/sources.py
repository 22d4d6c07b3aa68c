"""Registries and bootstrap lists of a file: a list, a provider by its type, or `module:function`."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depinmesh._loading.layers import below, flat, nested
from depinmesh._loading.text import NOTHING, converted, items
from depinmesh._paths import expanded
from depinmesh.errors import ConfigError, ConfigProblem, MeshError, shown, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from depinmesh._loading.layers import Layer

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_COMBINED = ("any_of", "all_of")
_FORMS = "a list, `module:function`, or a mapping with `type` and the arguments of a registry"
_LISTS = {"Iterable", "Sequence", "tuple", "list"}  # as annotations have them


class SourceError(Exception):
    """A source cannot be made; `problems` says why, seen from the source."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__()
        self.problems = problems


def made_source(layer: Layer) -> object:
    """Return the list, function or provider that a layer stands for.

    Args:
        layer: Text, a list, or what is a source already, at the path `()`; else a `type` and arguments. Each has the
            folder in which its own modules and files are looked for.

    Raises:
        SourceError: There is no such thing, or it cannot be made.
    """
    if () not in layer:
        return _provider(layer)
    value, _, folder = layer[()]
    if isinstance(value, str):
        text = value.strip()
        return imported(text, folder) if _REFERENCE.fullmatch(text) else items(text)
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
            raise _wrong(reference, f"has no {name}", _near(name, vars(found) if hasattr(found, "__dict__") else ()))
        found = getattr(found, name)
    return found


def _provider(layer: Layer) -> object:
    arguments = {path[0]: below(layer, path[:1]) for path in layer}
    kind = _plain(arguments.pop("type")) if "type" in arguments else None
    types = source_types()
    if kind is None:
        raise SourceError(ConfigProblem("type", None, "is missing", f"{_FORMS}; types are {', '.join(types)}"))
    if not isinstance(kind, str) or kind not in types:
        hint = _near(str(kind), types) or f"known: {', '.join(types)}"
        raise SourceError(ConfigProblem("type", shown(kind), "is no type of registry", hint))
    make = _class(types[kind])
    if kind in _COMBINED:
        return _call(make, _parts(arguments), {})
    return _call(make, [], _arguments(make, arguments))


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


def _parts(arguments: Mapping[str, Layer]) -> list[object]:
    given = arguments.get("sources", {}).get(())
    if arguments.keys() != {"sources"} or given is None or not isinstance(given.value, str | list):
        raise SourceError(ConfigProblem("sources", None, "must be the only argument, and a list", _FORMS))
    sources = items(given.value) if isinstance(given.value, str) else given.value
    made, problems = [], []
    for index, source in enumerate(sources):
        try:
            made.append(made_source(flat(source, lambda _, value: given._replace(value=value))))
        except SourceError as error:
            problems += [problem.under(f"sources[{index}]") for problem in error.problems]
    if problems:
        raise SourceError(*problems)
    return made


def _arguments(make: Callable[..., object], given: Mapping[str, Layer]) -> dict[str, object]:
    """Return the arguments as the class takes them; its annotations say what becomes of text and of `off`."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    known = f"known here: {', '.join(parameters)}"
    problems = [
        ConfigProblem(name, None, "is not an argument of this registry", _near(name, parameters) or known)
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
    for name, layer in given.items():
        try:
            unit = "bytes" if name.endswith("size") else None
            made[name] = _argument(layer, _words(parameters[name]), unit)
        except SourceError as error:
            wrong += [problem.under(name) for problem in error.problems]
    if wrong:
        raise SourceError(*wrong)
    return made


def _argument(layer: Layer, words: set[str], unit: str | None) -> object:
    if "WalletSource" in words:
        return made_source(layer)
    value = _plain(layer)
    if isinstance(value, bool) and "bool" not in words:
        if value or "None" not in words:
            hint = "in YAML yes, no, on and off are flags: quote what is text"
            raise SourceError(ConfigProblem("", shown(value), "is a flag, which this argument does not take", hint))
        return None  # YAML reads `off` so
    if not isinstance(value, str) or "Keypair" in words:
        return value
    return _from_text(value, words, layer[()].folder, unit)


def _from_text(value: str, words: set[str], folder: Path | None, unit: str | None) -> object:
    if "None" in words and value.strip().lower() in NOTHING:
        return None
    if words & {"Logger", "Rule"}:  # objects, which text can only name
        return imported(value.strip(), folder)
    if words & _LISTS:
        return items(value)
    is_path = bool(words & {"Path", "PathLike"})
    if not is_path and ("str" in words or not words & {"float", "int", "bool"}):
        return value
    try:
        if is_path:
            return (folder or Path()) / expanded(value)
        return converted(value, {base for base in (bool, float, int) if base.__name__ in words}, unit)
    except ValueError as error:
        raise SourceError(ConfigProblem("", shown(value), str(error), None)) from None


def _plain(layer: Layer) -> object:
    return layer[()].value if () in layer else nested(layer)


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


def _near(name: str, known: Iterable[str]) -> str | None:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else None


def _wrong(value: str, reason: str, hint: str | None) -> SourceError:
    return SourceError(ConfigProblem("", shown(value), reason, hint))
