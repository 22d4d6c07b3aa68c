"""What the commands with the extra have in common: parsing, running a coroutine, errors."""

import asyncio
import sys
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Annotated, Any, TypeAlias

from cyclopts import App, CycloptsError, Parameter, Token, validators
from rich.console import Console

from depinmesh._loading.text import converted
from depinmesh._text import in_a_line
from depinmesh.cli.exits import FAILURE, OK, TIMEOUT, USAGE
from depinmesh.cli.threads import DaemonThreads
from depinmesh.errors import ConfigError, MeshError, MeshTimeoutError
from depinmesh.logs.forward import forwarder


def _seconds(_: object, tokens: Sequence[Token]) -> float:
    return float(str(converted(tokens[0].value.strip(), {float}, None)))


Seconds: TypeAlias = Annotated[float, Parameter(converter=_seconds, validator=validators.Number(gte=0))]
"""A duration: `2.5`, `500ms`, `1m`, as in a configuration."""

Pause: TypeAlias = Annotated[float, Parameter(converter=_seconds, validator=validators.Number(gt=0))]
"""A duration above 0."""

Count: TypeAlias = Annotated[int, Parameter(name=("--count", "-n"), validator=validators.Number(gte=1))]
"""How many, one at least."""


def app(name: str) -> App:
    """Make the parser of a command, or of a family of commands."""
    return App(
        name=f"depinmesh {name}",
        help_flags=("--help", "-h"),
        version_flags=(),
        default_parameter=Parameter(negative=(), show_env_var=False),
        error_console=Console(stderr=True),
    )


def run(command: App, arguments: Sequence[str]) -> int:
    """Parse the arguments, run what they name to its end, and return the exit code."""
    try:
        function, bound, _ = command.parse_args(list(arguments), exit_on_error=False)
    except CycloptsError:  # it has been shown
        return USAGE
    try:
        result = function(*bound.args, **bound.kwargs)
        if asyncio.iscoroutine(result):
            result = _in_loop(result)
    except (MeshError, ModuleNotFoundError) as error:
        forwarder.finish()  # the error comes last, after what the core has said on the way to it
        say(f"{command.name[0]}: {_text(error)}")
        return _code(error)
    return OK if result is None else int(result)


def _in_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Do what `asyncio.run` does, with threads that the end does not wait for."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(DaemonThreads())
        return runner.run(work)


def _text(error: Exception) -> str:
    """Return what it says: a configuration has a line for each problem, and others may quote a registry or a peer."""
    lines = str(error).split("\n") if isinstance(error, ConfigError) else [str(error)]
    return "\n".join(map(in_a_line, lines))


def _code(error: Exception) -> int:
    if isinstance(error, MeshTimeoutError):
        return TIMEOUT
    # Wrong input of any kind is a ValueError, see errors.py.
    return USAGE if isinstance(error, ValueError | ModuleNotFoundError) else FAILURE


def say(text: str) -> None:
    """Talk to the person at the terminal, on stderr."""
    print(text, file=sys.stderr, flush=True)


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait until one of them is done, cancel the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
