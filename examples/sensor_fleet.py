"""A fleet of sensors: many publish readings, some collect them.

    python sensor_fleet.py sensor sensor.yaml
    python sensor_fleet.py collector collector.yaml

A collector takes readings as fast as it can; when it cannot, its queue drops the oldest, and it says how many it has
lost: those that its own queue dropped, and those whose numbers are missing.
"""

import argparse
import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass

from depinmesh import Config, Database, Event, PeerConnected, PeerDisconnected, Wallet, connect
from depinmesh.signals import until_stopped

TOPIC = "readings"


async def sense(db: Database, interval: float) -> None:
    """Publish a reading now and then. Its number lets a collector see what it has missed."""
    number = 0
    while True:
        number += 1
        await db.publish(TOPIC, {"n": number, "celsius": round(random.gauss(20, 2), 2)})
        await asyncio.sleep(interval)


@dataclass
class Series:
    """The readings of one sensor."""

    count: int = 0
    total: float = 0.0
    last: int = 0
    missing: int = 0

    def add(self, number: int, celsius: float) -> None:
        if self.last:
            self.missing += max(0, number - self.last - 1)
        self.last = number
        self.count += 1
        self.total += celsius


async def collect(db: Database, interval: float) -> None:
    """Print the mean of each sensor, and tell when one comes or goes."""
    series: dict[Wallet, Series] = defaultdict(Series)

    def on_reading(event: Event) -> None:
        match event.message:
            case {"n": int(number), "celsius": float(celsius)}:
                series[event.wallet].add(number, celsius)
            case other:
                print(f"{event.wallet} sends what is no reading: {other!r}", flush=True)

    readings = await db.subscribe(TOPIC, on_reading, overflow="drop_oldest")
    async with asyncio.TaskGroup() as group:
        group.create_task(tell_who_comes_and_goes(db))
        while True:
            await asyncio.sleep(interval)
            for wallet, one in sorted(series.items()):
                if one.count:
                    print(f"{wallet} mean={one.total / one.count:.2f} n={one.count} missing={one.missing}", flush=True)
                one.count, one.total = 0, 0.0  # the last number stays, by which the next window sees a gap
            if dropped := readings.stats.dropped:
                print(f"too slow: {dropped} readings were dropped so far", flush=True)


async def tell_who_comes_and_goes(db: Database) -> None:
    async for event in db.node.events(PeerConnected, PeerDisconnected):
        if isinstance(event, PeerConnected):
            print(f"{event.peer.wallet} is here", flush=True)
        elif isinstance(event, PeerDisconnected):
            print(f"{event.wallet} is gone: {event.reason}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["sensor", "collector"])
    parser.add_argument("config", help="YAML file")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two readings or two summaries")
    arguments = parser.parse_args()
    async with connect(Config.load(arguments.config)) as db:
        print(*db.node.bootstrap_entries(), flush=True)
        await (sense if arguments.role == "sensor" else collect)(db, arguments.interval)


if __name__ == "__main__":
    asyncio.run(until_stopped(main()))
