"""The JSON schema of a configuration file, where also text is good for durations, sizes and lists."""

from __future__ import annotations

from typing import Any

from depinmesh._loading.layers import SOURCE_FIELDS
from depinmesh._loading.sources import source_types
from depinmesh.config import Config

_AMOUNTS = {
    "seconds": r"^[0-9.]+\s*(ms|s|m|min|h|d)?$",
    "bytes": r"^[0-9.]+\s*(B|kB|MB|GB|KiB|MiB|GiB)?$",
}


def file_schema() -> dict[str, Any]:
    """Return it. A key and the wallets may come from the environment, so nothing is required."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema.pop("required", None)
    for model in (schema, *schema.get("$defs", {}).values()):
        for name, field in model["properties"].items():
            model["properties"][name] = _with_text(field)
    source = _source()
    for name in SOURCE_FIELDS:
        schema["properties"][name] |= source
    schema["properties"]["databases"] |= {
        "anyOf": [
            {"type": "object", "additionalProperties": {"anyOf": [*source["anyOf"], {"type": "null"}]}},
            {"type": "array", "items": {"type": "string"}},
        ]
    }
    for name in ("private_key", "logger"):
        schema["properties"][name] |= {"type": "string"}
    return schema


def _with_text(field: dict[str, Any]) -> dict[str, Any]:
    about = {name: value for name, value in field.items() if name in ("title", "description", "default")}
    form = {name: value for name, value in field.items() if name not in about and name != "unit"}
    if "unit" in field:
        return {**about, "anyOf": [form, {"type": "string", "pattern": _AMOUNTS[field["unit"]]}]}
    if field.get("type") == "array":
        return {**about, "anyOf": [form, {"type": "string"}]}
    return field


def _source() -> dict[str, Any]:
    provider = {
        "type": "object",
        "properties": {"type": {"enum": list(source_types())}},
        "required": ["type"],
    }
    return {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}, provider]}
