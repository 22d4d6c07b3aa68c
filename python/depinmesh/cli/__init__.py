"""The command `depinmesh`. Data goes to stdout, talk to stderr; 0 is success, 1 a failure, 2 wrong use.

What a command needs is imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OK, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130

_FORMATS = ("base58", "json", "env", "solana")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:  # after --help, or a wrong argument
        return OK if end.code is None else int(end.code)
    run: Callable[[argparse.Namespace], int] | None = options.run
    if run is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        code = run(options)
        sys.stdout.flush()  # what fails here fails inside of the try
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it; the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="depinmesh", description="Wallet-gated publish/subscribe between the nodes of a fleet."
    )
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    keygen = commands.add_parser("keygen", help="make keys for nodes", description=_KEYGEN)
    keygen.add_argument("--count", type=_positive, default=1, metavar="N", help="how many (default: 1)")
    keygen.add_argument("--format", choices=_FORMATS, default="base58", help="how they are written (default: base58)")
    keygen.add_argument("--output", metavar="FILE", help="new file for them, mode 0600 (default: stdout)")
    keygen.set_defaults(run=_keygen)

    demo = commands.add_parser("demo", help="three nodes and a stranger, on this machine", description=_DEMO)
    demo.add_argument(
        "--seconds", type=_seconds, default=15.0, metavar="S", help="how long it may take at most (default: 15)"
    )
    demo.set_defaults(run=_demo)

    version = commands.add_parser("version", help="what a bug report needs to know", description=_VERSION)
    version.set_defaults(run=_version)
    return parser


_KEYGEN = """Make keys of nodes. All are written, one a line: as Base58 secrets, as JSON objects, as environment
variables, or as the arrays of the Solana CLI. The wallets, which are to be listed in the registry, are shown on
stderr. An existing file is never overwritten."""

_DEMO = """Run three nodes in three processes on loopback, let them exchange events over QUIC and TCP, and let a
stranger try to get in: first unlisted, then, as the control, with its wallet listed."""

_VERSION = """Show the versions of depinmesh and of what it stands on."""


def _keygen(options: argparse.Namespace) -> int:
    from depinmesh.cli.keygen import run

    return run(options.count, options.format, options.output)


def _demo(options: argparse.Namespace) -> int:
    from depinmesh.cli.demo.command import run

    return run(options.seconds)


def _version(_: argparse.Namespace) -> int:
    from depinmesh.build import build_info

    info = build_info()
    width = max(map(len, info))
    for name, value in info.items():
        print(f"{name:<{width}}  {value}")
    return OK


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 600:  # noqa: PLR2004  # also refuses nan
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 600")
    return number
