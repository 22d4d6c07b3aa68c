"""Data on stdout: tables for people, tab-separated where another program reads, and JSON."""

import codecs
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from depinmesh import Event
from depinmesh._text import in_a_line, json_in_a_line

AsJson: TypeAlias = Annotated[bool, Parameter(name="--json", help="as JSON")]


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their head; without a terminal tabs are between the cells, and the head is left out."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(map(in_a_line, row)))
        return
    # Folded: a wallet that is cut off is none.
    table = Table(*(Column(title, overflow="fold") for title in head), box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(in_a_line(value)) for value in row))
    Console().print(table)


def print_json(value: object) -> None:
    """Print it for a program."""
    print(json.dumps(value, indent=2))


def message_of(event: Event) -> str:
    """Return the message as JSON in one line, which stays JSON where stdout has not all of its characters."""
    text = json_in_a_line(event.message_json.decode())
    if text.isascii() or codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8":
        return text
    return "".join(part if part.isascii() else json.dumps(part)[1:-1] for part in text)
