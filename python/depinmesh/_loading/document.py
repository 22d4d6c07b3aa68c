"""The layer of a YAML file, with the line of every value."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from depinmesh._loading.layers import Given, Layer, flat
from depinmesh._paths import expanded
from depinmesh.errors import ConfigError, ConfigProblem, without_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from yaml import Node as YamlNode

_LARGEST = 16 * 2**20  # bytes: 200,000 wallets
_MOST_VALUES = 500_000  # aliases multiply, so that a short text stands for any number of them
_HANDED_OVER = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def document_layer(path: str | os.PathLike[str]) -> Layer:
    """Read a file; `ConfigError` says what is wrong with it, and in which line."""
    try:
        file = expanded(path)
    except ValueError as error:
        raise _problem(without_secrets(str(path)), str(error), None) from None
    name = without_secrets(str(file))
    root = _compose(_read(file, name), name)
    if root is None:
        return {}
    try:
        values, lines = _Reader(name).read(root)
    except RecursionError:
        raise _problem(name, "refers to itself, or is too deep", None) from None
    if not isinstance(values, dict):
        raise _problem(name, "has no options: it is a list or a single value", "write `option: value` lines")
    folder = file.absolute().parent

    def given(path: tuple[str, ...], value: object) -> Given:
        return Given(value, f"{name} line {lines.get(path, 1)}", folder)

    layer = flat(values, given)
    if any(key[0] == "private_key" for key in layer) and (problem := _open_to_others(file)):
        raise _problem(name, f"has a private_key and {problem}", "put the key into a file of its own: key_file")
    return layer


def _read(file: Path, name: str) -> str:
    try:
        with open(file, "rb", opener=_opener) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if stat.S_ISFIFO(mode) and not _is_handed_over(file):
                raise _problem(name, "is a named pipe", "hand it over as -c /dev/stdin")
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise _problem(name, f"is larger than {_LARGEST} bytes", "keep wallets in a file of their own")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise _problem(name, f"cannot be read: {error.strerror}", None) from None
    except UnicodeDecodeError:
        raise _problem(name, "is not UTF-8 text", None) from None


def _opener(file: str, flags: int) -> int:
    """Open it without waiting for the writer of a named pipe; what whoever started us has opened is waited for."""
    waits = _is_handed_over(file) or os.name == "nt"
    descriptor = os.open(file, flags if waits else flags | os.O_NONBLOCK)
    if not waits:
        os.set_blocking(descriptor, True)
    return descriptor


def _is_handed_over(file: str | Path) -> bool:
    return str(file).startswith(_HANDED_OVER)


def _open_to_others(file: Path) -> str | None:
    mode = file.stat().st_mode & 0o777
    return f"is open to others (mode {mode:04o})" if os.name != "nt" and mode & 0o027 else None


def _compose(text: str, name: str) -> YamlNode | None:
    try:
        import yaml
    except ImportError:
        reason, remedy = "needs PyYAML to be read", "pip install 'depinmesh[config]'"
        raise _problem(name, reason, remedy) from None
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise _problem(name, "is too deep", None) from None
    except yaml.YAMLError as error:
        # Its own text quotes the file, which may have a secret.
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        reason = without_secrets(str(getattr(error, "problem", None) or "it has characters that YAML does not allow"))
        raise _problem(name, f"is no YAML{place}: {reason}", None) from None


class _Reader:
    """Makes values of YAML nodes, and notes in which line each begins. A name that stands twice is refused."""

    def __init__(self, name: str) -> None:
        from yaml.constructor import SafeConstructor

        self._name = name
        self._scalars = SafeConstructor()
        self._lines: dict[tuple[str, ...], int] = {}
        self._problems: list[ConfigProblem] = []
        self._number = 0

    def read(self, root: YamlNode) -> tuple[object, dict[tuple[str, ...], int]]:
        value = self._value(root, ())
        if self._problems:
            raise ConfigError.of(self._problems)
        return value, self._lines

    def _value(self, node: YamlNode, path: tuple[str, ...]) -> object:
        from yaml import MappingNode, SequenceNode
        from yaml.constructor import ConstructorError

        self._number += 1
        if self._number > _MOST_VALUES:
            raise _problem(self._name, f"has more than {_MOST_VALUES} values", "do without aliases of aliases")
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._value(inner, (*path, f"[{index}]")) for index, inner in enumerate(node.value)]
        try:
            value = self._scalars.construct_object(node)
        except ConstructorError:
            reason = f"is of the unknown kind {node.tag}"
        except Exception:  # noqa: BLE001  # whatever a constructor makes of a text that is not of its kind
            reason = f"is not of the kind {node.tag}"
        else:
            if not isinstance(value, dict | list | set):
                return value
            reason = f"is not of the kind {node.tag}"  # `!!seq text` would be an empty list
        self._refuse(path, node, reason)
        return None

    def _mapping(self, node: Any, path: tuple[str, ...]) -> dict[str, object]:
        from yaml import ScalarNode

        result: dict[str, object] = {}
        for key, inner in node.value:
            if not isinstance(key, ScalarNode):
                self._refuse(path, key, "has a list or a mapping in the place of a name")
                continue
            name = str(key.value)
            if name in result:
                self._refuse((*path, name), key, "stands here twice")
            self._lines.setdefault((*path, name), key.start_mark.line + 1)
            result[name] = self._value(inner, (*path, name))
        return result

    def _refuse(self, path: tuple[str, ...], node: YamlNode, reason: str) -> None:
        source = f"{self._name} line {node.start_mark.line + 1}"
        self._problems.append(ConfigProblem(".".join(path), None, reason, None, source))


def _problem(name: str, reason: str, hint: str | None) -> ConfigError:
    return ConfigError.of([ConfigProblem("", name, reason, hint)])
