"""`depinmesh shell`: subscribe and publish, line by line."""

import sys
from collections.abc import Awaitable, Callable, Sequence

from pydantic_core import from_json

from depinmesh import Database, Event
from depinmesh._text import in_a_line
from depinmesh.cli.app import app, run, say
from depinmesh.cli.output import message_of, print_table
from depinmesh.cli.settings import OwnNode
from depinmesh.cli.stdin import lines
from depinmesh.errors import MeshError
from depinmesh.signals import until_stopped

APP = app("shell")

_HELP = """\
subscribe TOPIC          show the events of a topic
unsubscribe TOPIC        show them no more
publish TOPIC MESSAGE    send JSON, or text that is not JSON as a string
peers                    who is connected
topics                   what is subscribed here, and by how many peers
status                   how the node is
help                     this list
quit                     leave; so does Ctrl-D"""


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
async def shell(*, settings: OwnNode = OwnNode()) -> None:
    """Subscribe, publish and look around in a database, line by line; `help` lists the commands.

    It starts a node of its own, on free ports. Commands may also come through a pipe.
    """

    async def talk() -> None:
        async with settings.connect() as database:
            say(f"{database.node.wallet} is in {database.name}; peers: {len(database.peers())}; `help` lists commands")
            await _Shell(database).run()

    await until_stopped(talk())


class _Shell:
    """Does what the lines say."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "publish": self._publish,
            "peers": self._peers,
            "topics": self._topics,
            "status": self._status,
            "help": self._help,
        }

    async def run(self) -> None:
        """Take lines until the end, or until one says so."""
        self._prompt()
        async for line in lines(sys.stdin.fileno()):
            name, _, rest = line.strip().partition(" ")
            if name in ("quit", "exit"):
                break
            if name:
                await self._do(name, rest.strip())
            self._prompt()

    async def _do(self, name: str, rest: str) -> None:
        command = self._commands.get(name)
        if command is None:
            say(f"{name} is no command; `help` lists them")
            return
        try:
            await command(rest)
        except MeshError as error:
            say(in_a_line(error))
        sys.stdout.flush()

    def _prompt(self) -> None:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)

    async def _subscribe(self, topic: str) -> None:
        await self._database.subscribe(topic, _show)
        say(f"subscribed to {topic}")

    async def _unsubscribe(self, topic: str) -> None:
        await self._database.unsubscribe(topic)
        say(f"unsubscribed from {topic}")

    async def _publish(self, rest: str) -> None:
        topic, _, text = rest.partition(" ")
        try:
            message: object = from_json(text, allow_inf_nan=False)
        except ValueError:
            message = text
        await self._database.publish(topic, message)
        say(f"published to {len(self._database.topic_peers(topic))} subscribers of {topic}")

    async def _peers(self, _: str) -> None:
        rows = [
            (peer.wallet, peer.direction, peer.transport, "-" if peer.rtt is None else f"{peer.rtt * 1000:.1f} ms")
            for peer in self._database.peers()
        ]
        print_table(("wallet", "direction", "transport", "rtt"), rows)
        say(f"{len(rows)} peers")

    async def _topics(self, _: str) -> None:
        database = self._database
        print_table(("topic", "peers"), [(topic, len(database.topic_peers(topic))) for topic in database.topics()])

    async def _status(self, _: str) -> None:
        node = self._database.node
        status = node.status()
        rows = [
            ("wallet", status.wallet),
            ("state", status.state),
            ("ready", "yes" if self._database.is_ready else "no"),
            ("peers", status.peers),
            ("topics", len(self._database.topics())),
            ("uptime", f"{status.uptime:.0f} s"),
            *(("listens on", address) for address in status.addresses),
        ]
        print_table(("what", "is"), rows)

    async def _help(self, _: str) -> None:
        say(_HELP)


def _show(event: Event) -> None:
    print(f"{in_a_line(event.topic)} {event.wallet} {message_of(event)}", flush=True)
