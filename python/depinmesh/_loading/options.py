"""The options of a configuration by their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depinmesh._validation import Options
from depinmesh.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo


def field_of(path: tuple[str, ...]) -> FieldInfo | None:
    """Return the option at a path; None: there is no such."""
    field = Config.model_fields.get(path[0])
    if len(path) == 1 or field is None:
        return field
    model = field.annotation
    if len(path) > 2 or not (isinstance(model, type) and issubclass(model, Options)):  # noqa: PLR2004  # group, field
        return None
    return model.model_fields.get(path[1])


def is_group(name: str) -> bool:
    """Say whether an option is a group of options."""
    field = Config.model_fields.get(name)
    return field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, Options)


def all_options() -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Return every option, those of a group in its place."""
    for name, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, Options):
            yield from (((name, inner), inner_field) for inner, inner_field in model.model_fields.items())
        else:
            yield (name,), field
