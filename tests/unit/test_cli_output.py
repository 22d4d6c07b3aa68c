"""What the commands print of what others say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from depinmesh import RegistryError
from depinmesh._text import json_in_a_line
from depinmesh.cli.app import app, run
from depinmesh.cli.shell import _show
from depinmesh.cli.sub import _json_line, _text_line

FORGED = b'[\n{"wallet":"v"}\r\n]'


@pytest.mark.parametrize(
    "text",
    [
        FORGED.decode(),
        '"\x9b2J\u2028"',
        '"\u202egnp.\u2066\u061c\u200f"',
        '{\t"\x7f\x85":\r1,\n"\\u2029\\\\\u2029\\n": "\u00e4\U0001f600"}',
    ],
)
def test_json_of_others_stays_in_its_line_and_means_the_same(text: str) -> None:
    line = json_in_a_line(text)
    assert line.isprintable()
    assert json.loads(line) == json.loads(text)


def test_json_of_others_keeps_its_numbers_and_its_letters() -> None:
    assert json_in_a_line('[1.0,\n1e2,"ä\u3000😀"]') == '[1.0, 1e2,"ä\u3000😀"]'


def event() -> Any:
    now = datetime.now(UTC)
    return SimpleNamespace(
        id="id",
        topic="news",
        from_peer="peer",
        wallet="author",
        timestamp=1,
        time=now,
        received_at=now,
        message_json=FORGED,
    )


def test_a_message_adds_no_line_to_those_of_sub_and_shell(capsys: pytest.CaptureFixture[str]) -> None:
    line = _json_line(event())
    assert line.isprintable()
    shown = json.loads(line)
    assert (shown["wallet"], shown["message"]) == ("author", [{"wallet": "v"}])
    assert _text_line(event()).endswith(' author news [ {"wallet":"v"}  ]')
    _show(event())
    assert capsys.readouterr().out == 'news author [ {"wallet":"v"}  ]\n'


def test_an_error_that_quotes_others_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    command = app("test")

    @command.default
    def fail() -> None:
        raise RegistryError("it says \x9b2J\nforged")

    assert run(command, []) == 1
    assert capsys.readouterr().err == "depinmesh test: it says \\x9b2J\\nforged\n"
