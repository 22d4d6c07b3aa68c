"""`depinmesh registry`: ask the registry of a configuration, without a node."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter

from depinmesh import Config, RegistryError, Wallet
from depinmesh._text import in_a_line
from depinmesh.cli.app import Pause, app, run, say
from depinmesh.cli.asking import Asking, Listing, asking
from depinmesh.cli.exits import FAILURE, OK
from depinmesh.cli.output import AsJson, print_json, print_table
from depinmesh.cli.settings import Settings
from depinmesh.errors import ConfigError, ConfigProblem, shown, without_secrets
from depinmesh.gate import wallet_of
from depinmesh.signals import until_stopped

APP = app("registry")


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@Parameter(name="*")
@dataclass(frozen=True)
class Source(Settings):
    """Whose registry it is."""

    database: Annotated[str | None, Parameter(name=("--database", "-d"), help="whose list, if not the first's")] = None

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[tuple[Config, Asking]]:
        """Open it."""
        config = self.load().config
        name, known = self.database or config.database, (config.database, *config.databases)
        if name not in known:
            reason, hint = "is no database of the configuration", f"known: {', '.join(known)}"
            raise ConfigError.of([ConfigProblem("", shown(name), reason, hint, "--database")])
        source = config._wallets_of(name)
        async with asking(source, config.gate.timeout) as one:
            yield config, one


@APP.command
async def check(
    *wallets: str,
    as_json: AsJson = False,
    source: Source = Source(),
) -> int:
    """Say whether wallets are listed; the exit code is 1 when one is not.

    Args:
        wallets: Wallets or peer ids; by default the wallet of the configuration.
    """
    async with source.asking() as (config, registry):
        asked = [wallet_of(text) for text in wallets] or [config.private_key.wallet]
        listed = {wallet: await registry.is_listed(wallet) for wallet in asked}
    if as_json:
        print_json(listed)
    else:
        rows = [(wallet, "listed" if verdict else "not listed") for wallet, verdict in listed.items()]
        print_table(("wallet", "is"), rows)
    return OK if all(listed.values()) else FAILURE


@APP.command(name="list")
async def show(*, as_json: AsJson = False, source: Source = Source()) -> None:
    """Show the listed wallets, one a line."""
    async with source.asking() as (_, registry):
        listing = await registry.wallets()
    if as_json:
        print_json(sorted(listing.wallets))
    else:
        for wallet in sorted(listing.wallets):
            print(wallet)
    _say_size(listing)


@APP.command
async def watch(*, interval: Pause | None = None, source: Source = Source()) -> None:
    """Show the listed wallets, and then each that is added or removed, until Ctrl-C.

    Args:
        interval: Seconds between two readings, and before it listens again where that failed; by default
            gate.refresh_interval. What the registry pushes comes at once.
    """
    known: frozenset[Wallet] = frozenset()

    def show_changes(listing: Listing) -> None:
        nonlocal known
        _print_changes(known, listing.wallets)
        known = listing.wallets

    async def follow() -> None:
        async with source.asking() as (config, registry):
            every = config.gate.refresh_interval if interval is None else interval
            tasks = [asyncio.ensure_future(work(registry, every, show_changes)) for work in (_read, _hear)]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:  # none may use a registry that is closed
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    await until_stopped(follow())


async def _read(registry: Asking, interval: float, on_listing: Callable[[Listing], None]) -> None:
    while True:
        try:
            on_listing(await registry.wallets())
        except RegistryError as error:
            say(f"depinmesh registry: {in_a_line(error)}")
        await asyncio.sleep(interval)


async def _hear(registry: Asking, pause: float, on_listing: Callable[[Listing], None]) -> None:
    def failed(error: Exception, again_in: float) -> None:
        reason = in_a_line(without_secrets(f"{type(error).__name__}: {error}"))
        say(f"depinmesh registry: listening to the registry failed: {reason}; again in {again_in:g} s")

    async with contextlib.aclosing(registry.changes(failed, pause)) as changes:
        async for listing in changes:
            on_listing(listing)


def _print_changes(before: frozenset[Wallet], now: frozenset[Wallet]) -> None:
    time = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  # of the reader's clock on the wall
    for sign, wallets in (("+", now - before), ("-", before - now)):
        for wallet in sorted(wallets):
            print(f"{time} {sign} {wallet}", flush=True)


def _say_size(listing: Listing) -> None:
    say(f"{len(listing.wallets)} wallets")
    for entry in listing.invalid:
        say(f"left out, as it is no wallet: {in_a_line(entry)}")
