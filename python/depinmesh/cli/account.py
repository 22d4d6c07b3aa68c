"""The account of a configuration: every option, its value without secrets, and who gave it."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from depinmesh._loading.layers import KEY_FIELDS, SOURCE_FIELDS, Layer, below, nested, source_of
from depinmesh._loading.load import Loaded
from depinmesh._loading.options import all_options
from depinmesh.errors import without_secrets

_HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(r"key|token|secret|password|auth|header|cookie", re.IGNORECASE)


def account(loaded: Loaded) -> list[tuple[str, str, str]]:
    """Return option, value and source of every option."""
    rows: list[tuple[tuple[str, ...], str]] = []
    for path, _ in all_options():
        if path[0] == "databases" or path[0] in SOURCE_FIELDS:
            rows += _sources(path, loaded)
        else:
            rows.append((path, _value(path, loaded)))
    return [(".".join(path), value, _source_of(path, loaded.layer)) for path, value in rows]


def _source_of(path: tuple[str, ...], layer: Layer) -> str:
    given = source_of(path, layer)
    if given is None and path == ("private_key",):
        given = source_of(("key_file",), layer)
    return "default" if given is None else given.source


def _value(path: tuple[str, ...], loaded: Loaded) -> str:
    config = loaded.config
    if path == ("private_key",):
        return f"{_HIDDEN}, of the wallet {config.private_key.wallet}"
    value: object = config
    for name in path:
        value = getattr(value, name)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if path == ("logger",) and value is not None:
        return type(value).__name__
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _sources(path: tuple[str, ...], loaded: Loaded) -> Iterator[tuple[tuple[str, ...], str]]:
    if path != ("databases",):
        yield path, _source(getattr(loaded.config, path[0]), path, loaded.layer)
        return
    if not loaded.config.databases:
        yield path, "none"
    for name, source in loaded.config.databases.items():
        inner = ("databases", name)
        yield inner, "as authorized_wallets" if source is None else _source(source, inner, loaded.layer)


def _source(made: object, path: tuple[str, ...], layer: Layer) -> str:
    if isinstance(made, tuple):
        return f"{len(made)} in a list" if made else "none"
    given = below(layer, path)
    if given.keys() == {()}:
        return without_secrets(str(given[()].value))  # `module:function`
    return _described(nested(given))


def _described(arguments: Mapping[str, object]) -> str:
    kind = arguments.get("type", "?")
    rest = ", ".join(f"{name}={_masked(name, value)}" for name, value in arguments.items() if name != "type")
    return f"{kind}({rest})"


def _masked(name: str, value: object) -> str:
    if _SECRET_NAME.search(name) or name in KEY_FIELDS:
        return _HIDDEN
    if isinstance(value, Mapping):
        return _described(value)
    if isinstance(value, list):
        return f"[{', '.join(_masked(name, inner) for inner in value)}]"
    text = str(value)
    if "://" in text:
        # Path, query and user of an endpoint are where keys of its owner stand.
        place = urlsplit(text)
        more = place.path.strip("/") or place.query or place.username
        return f"{place.scheme}://{place.hostname}{f'/{_HIDDEN}' if more else ''}"
    return without_secrets(text)
