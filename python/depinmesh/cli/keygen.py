"""`depinmesh keygen`: keys of nodes, in the forms that others read."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from depinmesh import _base58
from depinmesh.cli.exits import OK, USAGE
from depinmesh.errors import without_secrets
from depinmesh.identity import Keypair

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """Make keys of nodes. All are written, one a line: as Base58 secrets, as JSON objects, as environment
variables, or as the arrays of the Solana CLI. The wallets, which are to be listed in the registry, are shown on
stderr. An existing file is never overwritten."""
_FORMATS = ("base58", "json", "env", "solana")


def main(arguments: Sequence[str]) -> int:
    """Make keys."""
    parser = argparse.ArgumentParser(prog="depinmesh keygen", description=_DESCRIPTION)
    parser.add_argument("--count", type=_positive, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--format", choices=_FORMATS, default="base58", help="how they are written (default: base58)")
    parser.add_argument("--output", metavar="FILE", help="new file for them, mode 0600 (default: stdout)")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:  # after --help, or a wrong argument
        return USAGE if end.code else OK
    return run(options.count, options.format, options.output)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def run(count: int, form: str, output: str | None) -> int:
    """Make keys, write them, and say which wallets they have."""
    keys = [Keypair.generate() for _ in range(count)]
    text = "".join(f"{_line(key, form, number, count)}\n" for number, key in enumerate(keys, 1))
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        try:
            _write_private(Path(output), text)
        except OSError as error:
            return _fail(output, error)
        print(f"wrote {count} {'key' if count == 1 else 'keys'} to {output}", file=sys.stderr)
    for key in keys:
        print(f"wallet {key.wallet}", file=sys.stderr)
    return 0


def _line(key: Keypair, form: str, number: int, count: int) -> str:
    secret = key.to_base58()
    if form == "json":
        return json.dumps({"wallet": key.wallet, "peer_id": key.peer_id, "private_key": secret})
    if form == "env":
        # One environment holds one key of a name.
        return f"DEPINMESH_PRIVATE_KEY{f'_{number}' if count > 1 else ''}={secret}"
    if form == "solana":
        # In Base58 alone a secret leaves its key pair.
        return json.dumps(list(_base58.decode(secret)), separators=(",", ":"))
    return secret


def _write_private(file: Path, text: str) -> None:
    # O_EXCL: neither a file nor a link that somebody has put there is followed or overwritten.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii", newline="\n") as stream:
            stream.write(text)
    except OSError:
        with contextlib.suppress(OSError):
            file.unlink()  # half of a key is none
        raise


def _fail(output: str, error: OSError) -> int:
    name = without_secrets(output)
    if isinstance(error, FileExistsError):
        reason = "exists already, and a key is never overwritten; choose another name"
    else:
        reason = f"cannot be written: {error.strerror}"
    print(f"depinmesh keygen: {name} {reason}", file=sys.stderr)
    return 1
