"""The command `depinmesh`. Data goes to stdout, talk to stderr.

`COMMANDS` says which module has a command, and each has a `main` of its arguments. A module is imported when its
command runs, so that `--help` is quick and only who uses a command needs what it stands on.
"""

from __future__ import annotations

import contextlib
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from depinmesh.cli.exits import FAILURE, INTERRUPTED, OK, TIMEOUT, USAGE
from depinmesh.cli.streams import StdoutError, drop_stdout, standard_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Command(NamedTuple):
    """A command: what `--help` says of it, and its module."""

    summary: str
    module: str
    extra: bool = True
    """Whether it needs the extra `cli`."""


COMMANDS = {
    "demo": Command("three nodes and a stranger, on this machine", "demo.command", extra=False),
    "keygen": Command("make keys for nodes", "keygen", extra=False),
    "version": Command("what a bug report needs to know", "version", extra=False),
    "node": Command("run a node", "node"),
    "pub": Command("publish messages", "pub"),
    "sub": Command("show the events of topics", "sub"),
    "shell": Command("subscribe and publish, line by line", "shell"),
    "ping": Command("reach a node and measure the round trip", "ping"),
    "bench": Command("measure how many events arrive, and when", "bench"),
    "status": Command("how a running node is", "views.status"),
    "peers": Command("the peers of a running node", "views.peers"),
    "topics": Command("the topics of a running node", "views.topics"),
    "registry": Command("ask the registry: check, list, watch", "registry"),
    "config": Command("the configuration: check, show, schema", "config"),
    "doctor": Command("find what is wrong, with a remedy for each", "doctor.command"),
}

_HELP = f"""usage: depinmesh COMMAND ...

Wallet-gated publish/subscribe between the nodes of a fleet.

{{commands}}

`depinmesh COMMAND --help` says more. Data goes to stdout, talk to stderr.
Exit codes: {OK} success, {FAILURE} failure, {USAGE} wrong use or configuration, {TIMEOUT} a time limit passed,
{INTERRUPTED} interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    with standard_streams():
        name, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or [""]
        try:
            code = _run(name, rest)
            sys.stdout.flush()  # what fails here fails inside of the try
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:  # whoever read our output has enough of it
            drop_stdout()
            return OK
        except StdoutError as error:
            drop_stdout()
            with contextlib.suppress(OSError):  # it may be the same disk
                print(f"depinmesh: stdout cannot be written: {error}", file=sys.stderr)
            return FAILURE
        return code


def _run(name: str, rest: Sequence[str]) -> int:
    if name in ("-h", "--help", "help"):
        print(_help(), end="")
        return OK
    if name in COMMANDS:
        return _command(name)(rest)
    print(f"depinmesh: {name} is no command\n" if name else "", end=_help(), file=sys.stderr)
    return USAGE


def _help() -> str:
    parts = [
        f"{title}:\n" + "\n".join(f"  {name:<10} {one.summary}" for name, one in COMMANDS.items() if one.extra == extra)
        for extra, title in ((False, "commands"), (True, "with the extra, pip install 'depinmesh[cli]'"))
    ]
    return _HELP.format(commands="\n\n".join(parts))


def _command(name: str) -> Callable[[Sequence[str]], int]:
    command = COMMANDS[name]
    try:
        run: Callable[[Sequence[str]], int] = import_module(f"depinmesh.cli.{command.module}").main
    except ModuleNotFoundError as error:
        if not command.extra or (error.name or "").startswith("depinmesh"):
            raise
        missing = (error.name or "more").partition(".")[0]
        return lambda _: _say_missing(name, missing)
    return run


def _say_missing(name: str, missing: str) -> int:
    print(f"depinmesh {name} needs {missing}: pip install 'depinmesh[cli]'", file=sys.stderr)
    return USAGE
