"""A media node: it tells the fleet which rooms it has, and answers what comes to its inbox.

    python media_node.py media_node.yaml lobby stage          # has two rooms
    python media_node.py media_node.yaml --join lobby         # wants to send a participant to one

Every node publishes its rooms and their load on one topic, every five seconds, and each has an inbox: a topic that is
named after its peer id. A request goes to the inbox of the node that has the room, the answer to that of who asked.
Everybody can read an inbox, and nobody can write in another's name: `event.from_peer` is the signed author. Either
letter may get lost: a request is sent again until its answer comes, and its id says that it is the same one.
"""

import argparse
import asyncio
import contextlib
import time
from uuid import uuid4

from depinmesh import Config, Database, Event, PeerDisconnected, PeerId, connect
from depinmesh.signals import until_stopped

ADS = "rooms"
ATTEMPTS = 10

Request = tuple[PeerId, str]
"""Who asks, or is asked, and the id."""


def inbox(peer: PeerId) -> str:
    """Return the topic on which a node is asked and answered."""
    return f"inbox/{peer}"


class MediaNode:
    """The rooms of this node, and what it knows of those of others."""

    def __init__(self, db: Database, rooms: list[str], interval: float) -> None:
        self.db = db
        self.rooms: dict[str, dict[Request, int]] = {room: {} for room in rooms}
        self.interval = interval
        self.elsewhere: dict[str, tuple[PeerId, float]] = {}
        self.asked: dict[Request, asyncio.Future[int | None]] = {}
        self.changed = asyncio.Event()

    async def run(self, wanted: str | None) -> None:
        """Serve the rooms, and join the one that is wanted."""
        await self.db.subscribe(ADS, self.on_ad)
        await self.db.subscribe(inbox(self.db.node.peer_id), self.on_letter)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.advertise())
            group.create_task(self.forget_lost_nodes())
            if wanted is not None:
                group.create_task(self.join(wanted))

    async def advertise(self) -> None:
        """Publish the rooms again and again: delivery is best effort, and newcomers want to know too."""
        while True:
            await self.db.publish(ADS, {"rooms": {room: len(places) for room, places in self.rooms.items()}})
            await asyncio.sleep(self.interval)

    def on_ad(self, event: Event) -> None:
        """Note who has which room. An ad replaces the one before it."""
        match event.message:
            case {"rooms": dict(rooms)}:
                for room in [room for room, (peer, _) in self.elsewhere.items() if peer == event.from_peer]:
                    del self.elsewhere[room]
                self.elsewhere |= dict.fromkeys(rooms, (event.from_peer, time.monotonic()))
                self.changed.set()
            case other:
                print(f"{event.wallet} sends what is no ad: {other!r}", flush=True)

    async def on_letter(self, event: Event) -> None:
        """Take a request, or an answer to one of ours."""
        match event.message:
            case {"join": str(room), "id": str(number)}:
                letter = {"room": room, "id": number, "place": self.place(room, (event.from_peer, number))}
                # It waits for nobody: who has gone would hold up all letters, and who misses this one asks again.
                await self.db.publish(inbox(event.from_peer), letter)
            case {"room": str(), "id": str(number), "place": int() | None as place}:
                answer = self.asked.get((event.from_peer, number))
                if answer is not None and not answer.done():
                    answer.set_result(place)
            case other:
                print(f"{event.wallet} sends what is no letter: {other!r}", flush=True)

    def place(self, room: str, request: Request) -> int | None:
        """Return the place in the room, which who asks again has already; None if the room is not here."""
        places = self.rooms.get(room)
        if places is None:
            return None
        if request not in places:
            places[request] = len(places) + 1
            print(f"{request[0].wallet} joins {room}", flush=True)
        return places[request]

    async def join(self, room: str) -> None:
        """Ask the node that has the room, as soon as one says so, until it answers."""
        number = str(uuid4())
        for _ in range(ATTEMPTS):
            while room not in self.elsewhere:
                self.changed.clear()
                await self.changed.wait()
            peer, _ = self.elsewhere[room]
            answer = self.asked[peer, number] = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self.interval):
                    await self.db.publish(inbox(peer), {"join": room, "id": number}, min_peers=1)
                    place = await answer
            except TimeoutError:
                print(f"{peer.wallet} does not answer", flush=True)
            else:
                if place is None:
                    print(f"{peer.wallet} has no room {room}", flush=True)
                else:
                    print(f"admitted to {room} by {peer.wallet} as number {place}", flush=True)
                return
            finally:
                del self.asked[peer, number]
        print(f"gave up on {room}", flush=True)

    async def forget_lost_nodes(self) -> None:
        """Forget the rooms of nodes that are gone, or have not said anything for three turns."""
        with self.db.node.events(PeerDisconnected) as lost:
            while True:
                gone: PeerId | None = None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.interval):
                        gone = (await anext(lost)).peer_id
                oldest = time.monotonic() - 3 * self.interval
                for room, (peer, heard) in list(self.elsewhere.items()):
                    if peer == gone or heard < oldest:
                        del self.elsewhere[room]
                        print(f"{room} is gone with {peer.wallet}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", help="YAML file")
    parser.add_argument("rooms", nargs="*", help="rooms that this node has")
    parser.add_argument("--join", metavar="ROOM", help="a room of another node")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two ads")
    arguments = parser.parse_args()
    async with connect(Config.load(arguments.config)) as db:
        print(*db.node.bootstrap_entries(), flush=True)
        await MediaNode(db, arguments.rooms, arguments.interval).run(arguments.join)


if __name__ == "__main__":
    asyncio.run(until_stopped(main()))
