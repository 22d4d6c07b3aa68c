"""Reading a list of wallets out of text, with the line of every mistake."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import from_json

from depinmesh.bootstrap import parse_node
from depinmesh.errors import ConfigError, IdentityError, RegistryError, shown
from depinmesh.identity import Wallet

if TYPE_CHECKING:
    from collections.abc import Callable

    from depinmesh.bootstrap import BootstrapNode

_KEYS = ("wallets", "bootstrap_nodes")
_FORM = "a list of wallets, or a mapping with `wallets` and, if wanted, `bootstrap_nodes`"


class Document(NamedTuple):
    """What a file lists."""

    wallets: tuple[Wallet, ...]
    nodes: tuple[BootstrapNode | str, ...]


class _Entry(NamedTuple):
    value: object
    line: int | None = None
    """`None`: it is looked for when it has to be told, as to look for all takes the square of their number."""


_Lists = dict[str, list[_Entry]]


def read_document(text: str, name: str, suffix: str) -> Document:
    """Read JSON (`.json`), YAML (`.yaml`, `.yml`), or by default a wallet a line, with `#` before remarks.

    Raises:
        RegistryError: Any entry is wrong. The message begins with name and line.
    """
    lists = _FORMS.get(suffix.lower(), _lines)(text, name)
    wallets = (_parsed(entry, Wallet, name, text) for entry in lists.get("wallets", ()))
    nodes = (_parsed(entry, parse_node, name, text) for entry in lists.get("bootstrap_nodes", ()))
    return Document(tuple(dict.fromkeys(wallets)), tuple(nodes))


def _parsed(entry: _Entry, parse: Callable[[Any], Any], name: str, text: str) -> Any:
    try:
        if isinstance(entry.value, str):
            return parse(entry.value)
        reason = " is not text"
    except (IdentityError, ConfigError) as error:
        reason = f": {error}"
    line = _line_of(entry.value, text) if entry.line is None else entry.line
    raise RegistryError(f"{name}:{line}: {shown(entry.value)}{reason}")


def _lines(text: str, _name: str) -> _Lists:
    bare = ((line.partition("#")[0].strip(), number) for number, line in enumerate(text.splitlines(), 1))
    return {"wallets": [_Entry(line, number) for line, number in bare if line]}


def _json(text: str, name: str) -> _Lists:
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        found = re.search(r"(.*) at line (\d+)", str(error))
        reason, line = found.groups() if found else (str(error), "1")
        raise RegistryError(f"{name}:{line}: {reason}") from None
    if isinstance(value, dict):
        for key, entries in value.items():
            _check_key(key, isinstance(entries, list), name, _line_of(key, text))
        _check_complete(value, name)
        return {key: [_Entry(entry) for entry in entries] for key, entries in value.items()}
    if isinstance(value, list):
        return {"wallets": [_Entry(entry) for entry in value]}
    raise RegistryError(f"{name}:1: is not {_FORM}")


def _line_of(entry: object, text: str) -> int:
    # The first place of the same text: where it is wrong, it is wrong there.
    place = max(0, text.find(json.dumps(entry))) if isinstance(entry, str) else 0
    return text.count("\n", 0, place) + 1


def _yaml(text: str, name: str) -> _Lists:
    try:
        import yaml
    except ImportError:
        raise RegistryError(f"{name}: YAML needs an extra: pip install 'depinmesh[config]'") from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # The tree of nodes and not the values: it has the lines, and expands no aliases.
        root = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise RegistryError(f"{name}:{line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise RegistryError(f"{name}: {error}") from None

    def entries(node: Any) -> list[_Entry]:
        return [_Entry(getattr(item, "value", None), item.start_mark.line + 1) for item in node.value]

    if isinstance(root, yaml.SequenceNode):
        return {"wallets": entries(root)}
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            _check_key(key.value, isinstance(value, yaml.SequenceNode), name, key.start_mark.line + 1)
        lists = {key.value: entries(value) for key, value in root.value}
        _check_complete(lists, name)
        return lists
    raise RegistryError(f"{name}:1: is not {_FORM}")


_FORMS: dict[str, Callable[[str, str], _Lists]] = {".json": _json, ".yaml": _yaml, ".yml": _yaml}


def _check_key(key: object, is_list: bool, name: str, line: int) -> None:  # noqa: FBT001  # a fact, not a switch
    if key not in _KEYS:
        raise RegistryError(f"{name}:{line}: {shown(key)} is unknown: write {_FORM}")
    if not is_list:
        raise RegistryError(f"{name}:{line}: {key} is not a list")


def _check_complete(given: dict[str, Any], name: str) -> None:
    if "wallets" not in given:
        raise RegistryError(f"{name}:1: has no wallets: write {_FORM}")
