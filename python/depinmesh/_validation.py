"""From pydantic's findings to a `ConfigError`: all wrong fields at once, in our words, and no secret among them."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from depinmesh.errors import ConfigError, ConfigProblem, shown


class Options(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """Base of the configuration and its groups: frozen, no unknown fields, and `ConfigError` for whatever is wrong."""

    def __init__(self, **fields: object) -> None:
        self._fill(fields, [])

    def _fill(self, fields: Mapping[str, object], problems: list[ConfigProblem]) -> None:
        """Validate the fields; report what pydantic finds after the problems that the caller found."""
        try:
            BaseModel.__init__(self, **fields)
        except ValidationError as error:
            problems = [*problems, *_problems(type(self), error)]
        # Not raised inside `except`: pydantic's error has the input, and would stay on this one as its context.
        if problems:
            raise ConfigError.of(problems)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: pydantic would raise its own error here."""
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        """Refuse: pydantic would raise its own error here."""
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")


M = TypeVar("M", bound=Options)


def group(model: type[M]) -> BeforeValidator:
    """Let a group be given as a mapping of its fields, too."""

    def build(value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return model(**{str(key): given for key, given in value.items()})

    return BeforeValidator(build)


def _problems(model: type[Options], error: ValidationError) -> Iterable[ConfigProblem]:
    for found in error.errors(include_url=False):
        name = str(found["loc"][0]) if found["loc"] else ""
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"]).removeprefix(".")
        field = model.model_fields.get(name)
        cause = found.get("ctx", {}).get("error")
        if field is None:
            # The value is not shown: under a misspelt name it may be the private key.
            yield ConfigProblem(path, None, "is not a known field", _nearest(model, name))
        elif isinstance(cause, ConfigError):
            yield from (problem.under(path) for problem in cause.errors)
        elif found["type"] == "missing":
            yield ConfigProblem(path, None, "is required", field.description)
        else:
            value = shown(found["input"]) if field.repr else None  # repr=False marks what must not be shown
            yield ConfigProblem(path, value, str(cause or found["msg"]).removeprefix("Input "), field.description)


def _nearest(model: type[Options], name: str) -> str:
    """Name the known field that was probably meant: of this model, or of one of its groups."""
    fields: dict[str, Any] = {own: field.annotation for own, field in model.model_fields.items()}
    places = {own: own for own in fields}
    for own, annotation in fields.items():
        if isinstance(annotation, type) and issubclass(annotation, Options):
            for inner in annotation.model_fields:
                places.setdefault(inner, f"{own}.{inner}")
    from difflib import get_close_matches  # whoever makes no mistake need not load it

    near = get_close_matches(name, places, n=1)
    return f"did you mean {places[near[0]]}?" if near else f"known here: {', '.join(fields)}"
