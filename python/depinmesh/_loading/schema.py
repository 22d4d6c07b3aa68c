"""The JSON schema of a configuration file, where text is good for whatever it can be made into."""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depinmesh._loading.layers import SOURCE_FIELDS
from depinmesh._loading.options import all_options
from depinmesh._loading.sources import source_types
from depinmesh._loading.text import _BYTES, _FLAGS, _SECONDS, NOTHING, bases_of, unit_of
from depinmesh.config import Config

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_NUMBER = r"\d+(\.\d+)?([eE][+-]?\d+)?"
_WHOLE = r"\d+(\.0+|(\.\d+)?[eE][+-]?\d+)?"
_NULL = {"type": "null"}
_TEXTS = {"type": "array", "items": {"type": "string"}}


def file_schema() -> dict[str, Any]:
    """Return it. A key and the wallets may come from the environment, so nothing is required."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema.pop("required", None)
    for model in (schema, *schema["$defs"].values()):
        model["type"] = ["object", "null"]  # all that stands in it may be commented out
    for path, field in all_options():
        properties = _properties(schema, path)
        forms = _text_forms(bases_of(field.annotation), unit_of(field))
        properties[path[-1]] = _with_forms(properties[path[-1]], forms)
    source = _source()
    for name in SOURCE_FIELDS:
        schema["properties"][name] |= {"anyOf": [*source, _NULL]}
    databases = {"type": "object", "additionalProperties": {"anyOf": [*source, _NULL]}}
    schema["properties"]["databases"] |= {"anyOf": [databases, _TEXTS, {"type": "string"}, _NULL]}
    for name in ("private_key", "logger"):
        schema["properties"][name] |= {"type": ["string", "null"]}
    return schema


def _properties(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the properties among which an option is described."""
    model = schema
    for name in path[:-1]:
        model = schema["$defs"][model["properties"][name]["$ref"].rpartition("/")[2]]
    properties: dict[str, Any] = model["properties"]
    return properties


def _with_forms(field: dict[str, Any], forms: list[dict[str, Any]]) -> dict[str, Any]:
    about = {name: value for name, value in field.items() if name in ("title", "description", "default")}
    form = {name: value for name, value in field.items() if name not in about and name != "unit"}
    if not forms:
        return {**about, **form}
    # What a function of ours checks has no form.
    return {**about, "anyOf": [*(form.get("anyOf") or [form or _TEXTS]), *forms]}


def _text_forms(bases: Collection[object], unit: str | None) -> list[dict[str, Any]]:
    """Return what `from_text` makes a value of, apart from the value itself."""
    forms: list[dict[str, Any]] = []
    if bool in bases:
        forms.append(_text(_words(_FLAGS)))
    elif float in bases:
        forms.append(_text(rf"\+?{_NUMBER}\s*({'|'.join(_named(_SECONDS))})?"))
    elif int in bases and unit == "bytes":
        forms.append(_text(rf"\+?({_WHOLE}|{_NUMBER}\s*({'|'.join(_named(_BYTES))}))"))
    elif int in bases:
        forms.append(_text(rf"\+?{_WHOLE}"))
    elif tuple in bases:
        forms.append({"type": "string"})
    if types.NoneType in bases:
        forms.append({"const": False})  # YAML reads `off` so
        if Path not in bases:  # for which any text is good already
            forms.append(_text(_words(NOTHING)))
    return forms


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"^\s*{pattern}\s*$"}


def _words(words: Iterable[str]) -> str:
    """Return a pattern of these in any case; patterns of a schema have no flag for that."""
    spelt = ("".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in w) for w in words)
    return f"({'|'.join(spelt)})"


def _named(units: Iterable[str]) -> Iterator[str]:
    return filter(None, units)


def _source() -> list[dict[str, Any]]:
    provider = {
        "type": "object",
        "properties": {"type": {"enum": list(source_types())}},
        "required": ["type"],
    }
    return [_TEXTS, {"type": "string"}, provider]
