"""`depinmesh config`: check a configuration, show where each value comes from, describe all options."""

from collections.abc import Sequence

from depinmesh.cli.app import app, run, say
from depinmesh.cli.output import AsJson, print_json, print_table
from depinmesh.cli.settings import Settings

APP = app("config")


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.command
def check(*, settings: Settings = Settings()) -> None:
    """Say everything that is wrong with a configuration; the exit code is 2 when something is."""
    config = settings.load().config
    say(f"the configuration is right; it is for {config.private_key.wallet}")


@APP.command
def show(*, as_json: AsJson = False, settings: Settings = Settings()) -> None:
    """Show every option, its value, and where that comes from. Secrets are hidden."""
    from depinmesh.cli.account import account

    rows = account(settings.load())
    if as_json:
        print_json([{"option": option, "value": value, "source": source} for option, value, source in rows])
    else:
        print_table(("option", "value", "from"), rows)


@APP.command
def schema() -> None:
    """Print the JSON schema of a configuration file, for editors."""
    from depinmesh._loading.schema import file_schema

    print_json(file_schema())
