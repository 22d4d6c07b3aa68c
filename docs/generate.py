"""Writes the parts of the documents that are made of the code: `python docs/generate.py`, or with `--check`.

Each stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depinmesh._loading.environment import variable_of
from depinmesh._loading.options import all_options
from depinmesh._loading.text import unit_of
from depinmesh.catalogue import CATALOGUE, PREFIX
from depinmesh.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic.fields import FieldInfo

_PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def options() -> str:
    """Return the table of all options of `Config`."""
    lines = ["| option | default | meaning |", "| --- | --- | --- |"]
    for path, field in all_options():
        name = ".".join(path)
        cells = (f"`{name}`", _default(field), f"{field.description}")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or (not isinstance(value, bool) and not value and value != 0):
        return "none"
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    if unit_of(field) == "bytes" and value % 2**20 == 0:
        return f"`{value // 2**20}MiB`"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{value:g}s`" if unit_of(field) == "seconds" else f"`{text}`"


def variables() -> str:
    """Return the names of the variables of the environment."""
    paths = [".".join(path) for path, _ in all_options()]
    return "```text\n" + "\n".join(variable_of(path) for path in paths) + "\n```"


def commands() -> str:
    """Return what the commands with the extra say of themselves."""
    parts = []
    for name, command in COMMANDS.items():
        if command.extra:
            app = import_module(f"depinmesh.cli.{command.module}").APP
            text = app.generate_docs(output_format="markdown", heading_level=3)
            parts.append(_tidy(text, name))
    return "\n\n".join(parts)


def metrics() -> str:
    """Return the table of all metrics."""
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for info in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in info.labels)
        lines.append(f"| `{PREFIX}{info.name}` | {info.kind} | {labels} | {info.help} |")
    return "\n".join(lines)


def _tidy(text: str, name: str) -> str:
    text = text.replace(f"depinmesh {name} {name}", f"depinmesh {name}").replace("```console", "```text")
    text = text.replace(" *[default: False]*", "")  # of a flag, which is off unless it is given
    text = re.sub(r"\n\*\*(Commands)\*\*:\n\n(\*.*\n)+", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


PARTS: Mapping[str, Callable[[], str]] = {
    "options": options,
    "variables": variables,
    "commands": commands,
    "metrics": metrics,
}


def generated(text: str) -> str:
    """Return a document with its generated parts as they should be."""
    return _PART.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}", text)


def main() -> int:
    """Write, or check; the exit code of a check is 1 when something is out of date."""
    stale = []
    for file in sorted(Path(__file__).parent.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        if (now := generated(text)) != text:
            stale.append(file.name)
            if "--check" not in sys.argv:
                file.write_text(now, encoding="utf-8")
    for name in stale:
        print(f"{name} is {'out of date' if '--check' in sys.argv else 'written'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
