"""A plugin for pytest, `-p tests.secrecy`: searches all that the tests make visible for the keys that they use.

Every record of every node, down to TRACE, whatever its logger would write; what the tests print and how they fail; and
what other processes answer. Each key, and its seed, in six encodings: raw bytes, hex, Base58, Base64, a JSON array, a
list of numbers. A test that fails for another reason, such as a time limit that TRACE makes too short, is shown as
skipped: `make test` is about those.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, _base58, _core
from depinmesh.logs.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

OFF = 41
"""Levels from here on turn the log of the core off."""

FEW = 12
"""A seed of so few different bytes, as tests have, looks like much else: a random one has some thirty."""

# What can hold an encoding: most output is none of these, and looking each key up in all of it would take hours.
_CANDIDATE = re.compile(rb"[0-9A-Za-z+/_=-]{40,}|\d{1,3}(?:[ ,;\n]+\d{1,3}){31,}")


def encodings(secret: bytes) -> dict[str, bytes]:
    """Return a secret in the encodings in which it would be of use to a reader."""
    return {
        "raw": secret,
        "hex": secret.hex().encode(),
        "base58": _base58.encode(secret).encode(),
        "base64": base64.b64encode(secret).rstrip(b"="),
        "json": json.dumps(list(secret), separators=(",", ":")).strip("[]").encode(),
        "decimal": " ".join(map(str, secret)).encode(),
    }


class Secrets:
    """Keys, and where they stand in a text."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[str, list[bytes]]] = {}
        self._kept = 0
        self.number = 0

    def add(self, key: Keypair) -> None:
        """Look for this one, too."""
        text = key.to_base58()
        if text not in self._keys:
            secret = _base58.decode(text)
            parts = [secret] if len(set(secret[:32])) < FEW else [secret, secret[:32]]
            shown = [encodings(part) for part in parts]
            self._keys[text] = {name: [_plain(one[name]) for one in shown] for name in shown[0]}
            self.number += 1

    def keep(self) -> None:
        """Remember what there is now for good."""
        self._kept = len(self._keys)

    def forget(self) -> None:
        """Forget the others, which nobody uses any more."""
        self._keys = dict(list(self._keys.items())[: self._kept])

    def found(self, output: bytes) -> set[str]:
        """Return the encodings in which a key stands in the output."""
        together = b"\n".join({_plain(match[0]) for match in _CANDIDATE.finditer(output)})
        return {
            name
            for needles in self._keys.values()
            for name, parts in needles.items()
            if any(needle in (output if name == "raw" else together) for needle in parts)
        }


def _plain(text: bytes) -> bytes:
    """Make the spellings of one encoding the same."""
    numbers = re.split(rb"[ ,;\n]+", text)
    if len(numbers) > 1:
        return b",".join(numbers)
    return text.lower() if re.fullmatch(rb"[0-9A-Fa-f]+", text) else text.replace(b"-", b"+").replace(b"_", b"/")


secrets = Secrets()
heard: list[bytes] = []
"""What became visible since the last search."""
searched = 0
file = ""


def hear(text: str | bytes | None) -> None:
    """Keep something for the next search."""
    if text:
        heard.append(text if isinstance(text, bytes) else text.encode(errors="surrogateescape"))


def search(more: str = "") -> set[str]:
    """Search what was heard, once."""
    global searched  # noqa: PLW0603  # a count for the summary
    output = b"\n".join([*heard, more.encode(errors="surrogateescape")])
    heard.clear()
    searched += len(output)
    return secrets.found(output)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to listen."""
    _record_keys()
    _record_logs()
    _record_processes()


def pytest_collection_finish() -> None:
    """Keep the keys that stand in files of tests."""
    secrets.keep()


def pytest_runtest_logstart(location: tuple[str, int | None, str]) -> None:
    """Forget the keys of the last file, as each key costs time in each search."""
    global file  # noqa: PLW0603  # as above
    if location[0] != file:
        file = location[0]
        secrets.forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Search after each part of a test, and let it fail when a secret stands somewhere."""
    report = yield
    hits = search("\n".join([report.longreprtext, *(text for _, text in report.sections)]))
    if hits and item.get_closest_marker("shows_secrets") is None:
        report.outcome = "failed"
        report.longrepr = f"SECRET SHOWN as {', '.join(sorted(hits))} by {item.nodeid}, in its part {report.when}"
        report.sections.clear()
    elif report.failed:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"{item.name} fails at TRACE: {_cause(report.longreprtext)}")
    return report


def _cause(text: str) -> str:
    """Return the first line that says what was raised."""
    return next((line[1:].strip() for line in text.splitlines() if line.startswith("E ")), "for some reason")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures to the process that shows them, when this is one of several."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["secrecy"] = [searched, secrets.number]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the figures of another process."""
    global searched  # noqa: PLW0603  # as above
    size, number = getattr(node, "workeroutput", {}).get("secrecy", (0, 0))
    searched += size
    secrets.number += number


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was searched."""
    terminalreporter.write_line(f"searched {searched / 1e6:.1f} MB for {secrets.number} keys")


def _record_keys() -> None:
    init, of = Keypair.__init__, Keypair._of.__func__  # type: ignore[attr-defined]  # a class method

    def make(self: Keypair, secret: Any) -> None:
        init(self, secret)
        secrets.add(self)

    def _of(cls: type[Keypair], secret: _core.SecretKey) -> Keypair:
        key: Keypair = of(cls, secret)
        secrets.add(key)
        return key

    Keypair.__init__ = make  # type: ignore[method-assign]
    Keypair._of = classmethod(_of)  # type: ignore[assignment, method-assign]


def _record_logs() -> None:
    set_level, init = _core.set_log_level, Entry.__init__

    def make(self: Entry, *arguments: Any, **more: Any) -> None:
        init(self, *arguments, **more)
        error = "" if self.error is None else "".join(traceback.format_exception(self.error))
        hear(f"{self.message} {self.fields} {error}")

    _core.set_log_level = lambda level: set_level(0 if level < OFF else level)
    Entry.__init__ = make  # type: ignore[method-assign]


def _record_processes() -> None:
    feed, init, communicate = asyncio.StreamReader.feed_data, subprocess.Popen.__init__, subprocess.Popen.communicate

    def feed_data(self: asyncio.StreamReader, data: Any) -> None:
        hear(bytes(data))
        feed(self, data)

    def start(self: subprocess.Popen[Any], *arguments: Any, **more: Any) -> None:
        init(self, *arguments, **more)
        for name in ("stdout", "stderr"):
            if (stream := getattr(self, name)) is not None:
                setattr(self, name, Heard(stream))

    def communicating(self: subprocess.Popen[Any], *arguments: Any, **more: Any) -> Any:
        parts = communicate(self, *arguments, **more)
        for part in parts:
            hear(part)
        return parts

    asyncio.StreamReader.feed_data = feed_data  # type: ignore[method-assign]
    subprocess.Popen.__init__ = start  # type: ignore[method-assign]
    subprocess.Popen.communicate = communicating  # type: ignore[method-assign]


class Heard:
    """A stream of a process, of which the lines that somebody reads are heard."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[Any]:
        for line in self._stream:
            hear(line)
            yield line

    def readline(self, *arguments: Any) -> Any:
        line = self._stream.readline(*arguments)
        hear(line)
        return line
