"""Nodes of depinmesh by themselves: what they cost at rest and in numbers, and how soon they do what they must.

Each figure comes from fresh processes, and from several rounds where it is short.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benches.support.machine import Load
from benches.support.processes import Child, python
from benches.support.progress import Step
from benches.support.systems import NODE
from depinmesh import Keypair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.support.results import Results
    from benches.support.systems import Setup

SINGLE = python("-m", "benches.support.single")
FLEET = python("-m", "benches.support.fleet")
CLOSED_WITH = 10_000
"""Events that wait when a node with 50 peers is closed."""
LONG = 400.0
"""Seconds that the longest of these may take."""

Values = dict[str, float]


class Nodes:
    """Measures nodes."""

    def __init__(self, setup: Setup, results: Results, *, quick: bool, full: bool) -> None:
        self._setup, self._results = setup, results
        self._quick, self._full = quick, full

    def steps(self) -> list[Step]:
        """Return all of them."""
        rounds, once = range(2 if self._quick else 5), range(1)
        meshes, fans = ((20,), (1, 4)) if self._quick else ((20, 50), (1, 2, 4, 8, 16))
        steps = [
            *self._repeat(rounds, "import", 1, self._imports),
            *self._repeat(once, "idle with 10 peers", 25, self._idle),
            *self._repeat(rounds if self._full else once, "10,000 topics", 5, self._topics),
            *self._repeat(once, "memory", 15, self._memory),
            *self._repeat(once, "refused dials", 30, self._refused),
            *self._repeat(once, "starts and stops", 30, self._cycles),
            *self._repeat(rounds[:3], "close", 8, self._close),
            *self._repeat(once, "revocation", 30, self._revocation),
            *self._repeat(once, "restarts", 30, self._restarts),
            *(step for count in meshes for step in self._repeat(once, f"mesh of {count}", count, self._mesh(count))),
            *(step for count in fans for step in self._repeat(once, f"1 to {count}", 5, self._fan_out(count))),
        ]
        return steps if self._quick else [*steps, *self._repeat(once, "a network that heals", 60, self._heal)]

    def _repeat(
        self, rounds: range, name: str, seconds: float, measure: Callable[[], Iterator[tuple[str, Values]]]
    ) -> Iterator[Step]:
        def run(number: int) -> str:
            load, said = Load(), []
            measured = list(measure())  # all of it: of its processes only those that have ended are known as ours
            for bench, values in measured:
                self._results.add(bench, values, round=number, others=load.others())
                said += [f"{key} {value:,.2f}" for key, value in values.items()]
            return ", ".join(said)

        for number in rounds:
            yield Step(f"{name}, round {number}", seconds, partial(run, number))

    def _single(self, role: str, *, keys: list[Keypair] | None = None, **more: Any) -> Child:
        """Start a process with one node; the first of the keys is its own, and all are listed."""
        keys = keys or [Keypair.generate()]
        return Child(SINGLE, spec={"role": role, **self._spec(keys), **more}, longest=LONG)

    def _fleet(self, role: str, **more: Any) -> Child:
        """Start a process with many nodes."""
        return Child(FLEET, spec={"role": role, **more}, longest=LONG)

    def _crowd(self, keys: list[Keypair], own: int, core: int | None = None, **more: Any) -> Child:
        """Start a process with a node for each key from this number on."""
        spec = {"role": "crowd", **self._spec(keys), "secrets": [key.to_base58() for key in keys[own:]], **more}
        return Child(FLEET, core=core, spec=spec, longest=LONG)

    def _spec(self, keys: list[Keypair]) -> dict[str, Any]:
        wallets = [key.wallet for key in keys]
        return {"transport": "quic", "key": keys[0].to_base58(), "wallets": wallets, "loop": self._setup.loop}

    def _imports(self) -> Iterator[tuple[str, Values]]:
        for name, statement in (("package", "import depinmesh"), ("connect", "from depinmesh import connect")):
            code = f"import json, time; t = time.perf_counter(); {statement}; t = time.perf_counter() - t"
            with Child(python("-c", f"{code}; print(json.dumps({{'event': 'imported', 'ms': t * 1e3}}))")) as child:
                yield f"import {name}", {"ms": child.line("imported")["ms"]}
        began = perf_counter()
        subprocess.run(python("-m", "depinmesh", "--help"), stdout=subprocess.DEVNULL, check=True)
        yield "help", {"ms": (perf_counter() - began) * 1e3}

    def _idle(self) -> Iterator[tuple[str, Values]]:
        keys = [Keypair.generate() for _ in range(11)]
        with self._crowd(keys, 1, subscribed=True) as crowd:
            bootstrap = crowd.line("listening")["addresses"]
            seconds = 5 if self._quick else 20
            with self._single("idle", keys=keys, bootstrap=bootstrap, seconds=seconds) as node:
                yield "idle with 10 peers", only(node.line("idle"))
            crowd.tell({})

    def _topics(self) -> Iterator[tuple[str, Values]]:
        keys = [Keypair.generate() for _ in range(2)]
        count = 10_000
        with self._single("publish_on", keys=keys[::-1], topic=f"t{count - 1}") as peer:
            bootstrap = [peer.line("listening")["address"]]
            with self._single("topics", keys=keys, bootstrap=bootstrap, count=count) as node:
                yield "topics", only(node.line("topics"))
            peer.tell({})

    def _memory(self) -> Iterator[tuple[str, Values]]:
        with self._single("memory", nodes=20) as node:
            yield "memory", only(node.line("memory"))
        count = 20
        keys = [Keypair.generate() for _ in range(count + 1)]
        with self._single("connections", keys=keys, count=count) as node:
            bootstrap = [node.line("listening")["address"]]
            with self._crowd(keys, 1, bootstrap=bootstrap, subscribed=True) as crowd:
                yield "memory", only(node.line("connections"))
                crowd.tell({})

    def _refused(self) -> Iterator[tuple[str, Values]]:
        dials = 1_000 if self._quick else 10_000
        attacker = self._setup.built / "depinmesh-attacker"
        with self._single("gate", transport="tcp") as node:
            address = node.line("listening")["address"]
            several = ("--concurrency", "400", "--security", "noise", "--sources", "200", "--hold-ms", "20000")
            began = perf_counter()
            with Child([str(attacker), "flood", "--address", address, "--count", str(dials), *several]) as flood:
                flood.line("flood-done")
            seconds = perf_counter() - began
            node.tell({})
            found = node.line("gate")
        over = found["calls"] - found["allowed_calls"]
        values = {"dials_per_second": dials / seconds, "calls": found["calls"], "calls_over": max(0, over)}
        yield "refused", {**values, "refused": found["refused"], "cpu_us": found["cpu_us"]}

    def _cycles(self) -> Iterator[tuple[str, Values]]:
        with self._single("cycles", count=50 if self._quick else 1_000) as node:
            yield "cycles", only(node.line("cycles"))

    def _close(self) -> Iterator[tuple[str, Values]]:
        peers = 10 if self._quick else 50
        keys = [Keypair.generate() for _ in range(peers + 2)]
        away: dict[str, Any] = {"more": {"discovery": {"dht": False}}}
        with ExitStack() as stack:
            node = stack.enter_context(self._single("close", keys=keys, count=CLOSED_WITH, peers=peers + 1, **away))
            bootstrap = [node.line("listening")["address"]]
            crowd = stack.enter_context(self._crowd(keys, 2, bootstrap=bootstrap, **away))
            own = [keys[1], *keys[:1], *keys[2:]]
            fill = stack.enter_context(self._single("fill", keys=own, bootstrap=bootstrap, count=CLOSED_WITH, **away))
            found = node.line("closed")
            for child in (crowd, fill):
                child.tell({})
        yield "close", only(found)

    def _revocation(self) -> Iterator[tuple[str, Values]]:
        with self._fleet("revocation", nodes=10 if self._quick else 50) as fleet:
            yield "revocation", only(fleet.line("revocation"))

    def _restarts(self) -> Iterator[tuple[str, Values]]:
        with self._fleet("restarts", rounds=5 if self._quick else 20) as fleet:
            yield "restarts", only(fleet.line("restarts"))

    def _heal(self) -> Iterator[tuple[str, Values]]:
        with self._fleet("heal", rounds=3, seconds=15) as fleet:
            found = only(fleet.line("heal"))
        if "missing" in found:
            raise RuntimeError(f"it needs {found['missing']}")
        yield "heal", found

    def _mesh(self, nodes: int) -> Callable[[], Iterator[tuple[str, Values]]]:
        def measure() -> Iterator[tuple[str, Values]]:
            with self._fleet("mesh", nodes=nodes, events=20) as mesh:
                yield f"mesh of {nodes}", only(mesh.line("mesh"))

        return measure

    def _fan_out(self, count: int) -> Callable[[], Iterator[tuple[str, Values]]]:
        def measure() -> Iterator[tuple[str, Values]]:
            keys = [Keypair.generate() for _ in range(count + 1)]
            events = max(500, (4_000 if self._quick else 30_000) // count)
            common = {"credit": str(self._setup.folder / f"fan-out-{count}"), "count": events}
            with self._crowd(keys, 1, core=self._setup.core(1), **common) as crowd:
                bootstrap = crowd.line("listening")["addresses"]
                plan = {"bootstrap": bootstrap, "warmup": 0, "size": 200, "window": 256, "rate": 0, "linger": 0}
                spec = {"role": "send", **self._spec(keys), **common, **plan}
                with Child(NODE, core=self._setup.core(0), spec=spec) as sender:
                    found = crowd.line("received")
                    sender.line("sent")
                crowd.tell({})
            deliveries = found["events_per_second"]
            yield f"1 to {count}", {"deliveries_per_second": deliveries, "subscriber_cpu_us": found["cpu_us_per_event"]}

        return measure


def only(line: dict[str, Any]) -> Values:
    """Return the figures of a line."""
    return {name: value for name, value in line.items() if name != "event"}
