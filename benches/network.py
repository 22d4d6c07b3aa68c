"""One publisher, one subscriber, through loopback: depinmesh beside a pair of raw rust-libp2p nodes, in the same run.

    make bench                           builds what this needs, and runs it with the other benches
    python -m benches.network --quick    when that has been built; under a minute

Both publish signed events of 200 bytes over encrypted links. A credit window in shared memory keeps the publisher from
running ahead, so nothing is dropped, and the figure is the highest rate without loss. One block measures everything
once, in shuffled order; a ratio is taken inside its block. Each side has a core to itself.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from benches.support.machine import Load, describe
from benches.support.processes import Child, python
from benches.support.table import Figure, show
from depinmesh import Keypair

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 200
WINDOW = 512
# A batch takes what waits, and with few events on the way little does.
WINDOW_OF_BATCHES = 4096
RATE = 500
TRANSPORTS = ("quic", "tcp")
NODE = python("-m", "benches.support.node")


@dataclass
class Bench:
    """The options, and the figures so far."""

    raw_peer: str
    count: int
    seconds: float
    starts: int
    pinned: bool
    loop: str
    batching: bool
    folder: Path
    figures: dict[str, Figure] = field(default_factory=dict)
    lines: list[dict[str, object]] = field(default_factory=list)

    def core(self, number: int) -> int | None:
        """Return the core for this side."""
        return number if self.pinned else None

    def credit(self) -> str:
        """Return a file that no other run uses."""
        return str(self.folder / f"credit-{monotonic_ns()}")

    def ours(self, role: str, key: Keypair, wallets: list[str], transport: str, core: int, **more: Any) -> Child:
        """Start a node of ours."""
        spec = {"role": role, "key": key.to_base58(), "wallets": wallets, "transport": transport, "loop": self.loop}
        return Child(NODE, core=self.core(core), spec={**spec, **more})

    def raw(self, role: str, transport: str, core: int, *more: str) -> Child:
        """Start a raw peer."""
        return Child([self.raw_peer, role, "--transport", transport, *more], core=self.core(core))

    def figure(self, figure: Figure) -> Figure:
        """Return the row of this name, made when it is first asked for."""
        return self.figures.setdefault(figure.name, figure)


def pair_of_keys() -> tuple[Keypair, Keypair, list[str]]:
    """Return two identities, and the list that has both."""
    one, two = Keypair.generate(), Keypair.generate()
    return one, two, [str(one.wallet), str(two.wallet)]


Results = tuple[dict[str, Any], dict[str, Any]]


def events_of_ours(
    bench: Bench, transport: str, count: int, warmup: int, rate: int = 0, *, batching: bool = False
) -> Results:
    """Run our pair; return what the publisher and the subscriber say."""
    one, two, wallets = pair_of_keys()
    common: dict[str, Any] = {"credit": bench.credit(), "count": count, "warmup": warmup, "size": SIZE}
    common |= {"window": WINDOW_OF_BATCHES if batching else WINDOW, "batching": batching}
    with bench.ours("receive", two, wallets, transport, 1, **common, latency=bool(rate)) as receiver:
        address = receiver.line("listening")["address"]
        schedule = {"rate": rate, "seconds": count / (rate or 1)}
        with bench.ours("send", one, wallets, transport, 0, **common, **schedule, bootstrap=[address]) as sender:
            received, sent = receiver.line("received"), sender.line("sent")
    if received["dropped"]:
        raise RuntimeError(f"{received['dropped']} events were dropped inside the window")
    return sent, received


def events_of_batches(bench: Bench, transport: str, count: int, warmup: int, rate: int = 0) -> Results:
    """Run our pair with signed batches, ten times as long at full speed."""
    scale = 1 if rate else 10
    return events_of_ours(bench, transport, scale * count, scale * warmup, rate, batching=True)


def events_of_raw(bench: Bench, transport: str, count: int, warmup: int, rate: int = 0) -> Results:
    """Run the raw pair."""
    common = ("--credit", bench.credit(), "--warmup", str(warmup))
    latency = ("--latency",) if rate else ()
    schedule = ("--rate", str(rate), "--seconds", str(count / rate)) if rate else ("--count", str(count))
    with bench.raw("recv", transport, 1, *common, "--count", str(count), *latency) as receiver:
        to = ("--address", receiver.line("listening")["address"], "--size", str(SIZE), "--window", str(WINDOW))
        with bench.raw("send", transport, 0, *common, *schedule, *to) as sender:
            return sender.line("sent"), receiver.line("received")


EVENTS = {"ours": events_of_ours, "raw": events_of_raw}


def throughput(bench: Bench, transport: str, ours: Results, raw: Results) -> None:
    """Note rate and processor of one block."""
    name = transport.upper()
    for figure, values in (
        (
            Figure(f"{name} throughput", "events/s", "ratio", 0.90, 0.97, more_is_better=True),
            [result[1]["events_per_second"] for result in (ours, raw)],
        ),
        (
            Figure(f"{name} CPU, both sides", "us/event", "difference", 15, 4),
            [sum(side["cpu_us_per_event"] for side in result) for result in (ours, raw)],
        ),
        (Figure(f"{name} CPU, publisher", "us/event"), [result[0]["cpu_us_per_event"] for result in (ours, raw)]),
        (Figure(f"{name} CPU, subscriber", "us/event"), [result[1]["cpu_us_per_event"] for result in (ours, raw)]),
        (
            Figure(f"{name} RSS of the subscriber", "MiB"),
            [result[1]["max_rss_kib"] / 1024 for result in (ours, raw)],
        ),
    ):
        bench.figure(figure).add(*values)


def latency(bench: Bench, transport: str, ours: Results, raw: Results) -> None:
    """Note the latencies of one block."""
    name = f"{transport.upper()} latency at {RATE}/s"
    median = bench.figure(Figure(f"{name}, median", "us", "ratio", 1.3, 1.1))
    median.add(ours[1]["p50_us"], raw[1]["p50_us"])
    bench.figure(Figure(f"{name}, p99", "us")).add(ours[1]["p99_us"], raw[1]["p99_us"])


def batches(bench: Bench, transport: str, fast: tuple[Results, Results], paced: tuple[Results, Results]) -> None:
    """Note rate, processor and latency of one block with signed batches, beside those of the raw pair."""
    name = f"{transport.upper()} with batches,"
    rate = bench.figure(Figure(f"{name} throughput", "events/s", "ratio", 5, 10, more_is_better=True))
    rate.add(*[result[1]["events_per_second"] for result in fast])
    for side, label in enumerate(("publisher", "subscriber")):
        cpu = bench.figure(Figure(f"{name} CPU, {label}", "us/event"))
        cpu.add(*[result[side]["cpu_us_per_event"] for result in fast])
    median = bench.figure(Figure(f"{name} latency at {RATE}/s, median", "us"))
    median.add(*[result[1]["p50_us"] for result in paced])


def pairs(bench: Bench, rng: random.Random, say: Callable[[str], None]) -> None:
    """Run one block of all pairs, in shuffled order."""
    kinds = {
        "throughput": (throughput, {"count": bench.count, "warmup": bench.count // 20}),
        "latency": (latency, {"count": int(RATE * bench.seconds), "warmup": 500, "rate": RATE}),
    }
    systems = {**EVENTS, "batches": events_of_batches} if bench.batching else EVENTS
    runs = [(kind, transport, system) for kind in kinds for transport in TRANSPORTS for system in systems]
    rng.shuffle(runs)
    results: dict[tuple[str, str, str], Results] = {}
    for kind, transport, system in runs:
        load = Load()
        sent, received = results[kind, transport, system] = systems[system](bench, transport, **kinds[kind][1])
        rate, median = received["events_per_second"], received.get("p50_us")
        say(f"{transport} {system}: {f'{rate:,.0f} events/s' if median is None else f'median {median:,.0f} us'}")
        common = {"kind": kind, "transport": transport, "system": system, "others": load.others()}
        bench.lines.append({"bench": "network", **common, "sent": sent, "received": received})
    for kind, (note, _) in kinds.items():
        for transport in TRANSPORTS:
            note(bench, transport, results[kind, transport, "ours"], results[kind, transport, "raw"])
    for transport in TRANSPORTS if bench.batching else ():
        fast, paced = (
            (results[kind, transport, "batches"], results[kind, transport, "raw"]) for kind in ("throughput", "latency")
        )
        batches(bench, transport, fast, paced)


def first_events(bench: Bench, say: Callable[[str], None]) -> None:
    """Start processes beside a running peer; measure until it has the first event of each."""
    keys = [Keypair.generate() for _ in range(bench.starts + 1)]
    wallets = [str(key.wallet) for key in keys]
    figure = bench.figure(Figure("start of a process to first event delivered", "ms", must=450, goal=330))
    cpu = bench.figure(Figure("the same, CPU of the process", "ms"))
    with bench.ours("run_on", keys[0], wallets, "quic", 1) as running:
        address = running.line("listening")["address"]
        for number, key in enumerate(keys[1:]):
            began = monotonic_ns()
            with bench.ours("first_event", key, wallets, "quic", 0, bootstrap=[address], n=number) as starter:
                ours = (running.line("delivered")["at"] - began) / 1e6
                cpu.add(starter.line("published")["cpu_ms"])
            one = ("--credit", bench.credit(), "--count", "1", "--warmup", "0")
            with bench.raw("recv", "quic", 1, *one) as receiver:
                to = receiver.line("listening")["address"]
                began = monotonic_ns()
                with bench.raw("send", "quic", 0, *one, "--address", to):
                    receiver.line("received")
                    raw = (monotonic_ns() - began) / 1e6
            say(f"first event: {ours:,.0f} ms, raw {raw:,.0f} ms")
            figure.add(ours, raw)
        running.end()


def dials(bench: Bench, say: Callable[[str], None]) -> None:
    """Measure the first dial of a process."""
    for transport, must, goal in (("quic", 60, 10), ("tcp", None, None)):
        figure = bench.figure(Figure(f"{transport.upper()} first dial to connected", "ms", must=must, goal=goal))
        for _ in range(bench.starts):
            one, two, wallets = pair_of_keys()
            with bench.ours("run_on", two, wallets, transport, 1) as running:
                address = running.line("listening")["address"]
                with bench.ours("dial", one, wallets, transport, 0, address=address) as dialler:
                    ours = dialler.line("connected")["ms"]
                running.end()
            with bench.raw("recv", transport, 1, "--credit", bench.credit(), "--count", "1") as receiver:
                to = ("--address", receiver.line("listening")["address"], "--count", "1", "--warmup", "0")
                with bench.raw("send", transport, 0, "--credit", bench.credit(), *to) as sender:
                    raw = sender.line("connected")["ms"]
                    sender.end()
                receiver.end()
            figure.add(ours, raw)
        say(f"first dial over {transport}: {ours:.1f} ms, raw {raw:.1f} ms")


def imports(bench: Bench, say: Callable[[str], None]) -> None:
    """Measure the import of the package in fresh processes."""
    figure = bench.figure(Figure("import depinmesh", "ms", must=80, goal=50))
    whole = bench.figure(Figure("import of connect, with pydantic", "ms"))
    for _ in range(bench.starts):
        figure.add(_timed("import depinmesh"))
        whole.add(_timed("from depinmesh import connect"))
    say(f"import: {figure.ours[-1]:.1f} ms, of connect {whole.ours[-1]:.0f} ms")


def _timed(statement: str) -> float:
    code = f"import json, time; t = time.perf_counter(); {statement}; t = time.perf_counter() - t"
    with Child(python("-c", f"{code}; print(json.dumps({{'event': 'imported', 'ms': t * 1e3}}))")) as child:
        ms: float = child.line("imported")["ms"]
        return ms


def idle(bench: Bench, say: Callable[[str], None]) -> None:
    """Measure what a node with one peer costs while nothing happens."""
    one, two, wallets = pair_of_keys()
    figure = bench.figure(Figure("idle with one peer", "% of a core", must=0.5, goal=0.25))
    with bench.ours("run_on", two, wallets, "quic", 1) as running:
        address = running.line("listening")["address"]
        more = {"seconds": 2 * bench.seconds, "bootstrap": [address]}
        with bench.ours("idle", one, wallets, "quic", 0, **more) as node:
            used = node.line("idle")
        running.end()
    figure.add(used["cpu_seconds"] / used["seconds"] * 100)
    say(f"idle: {figure.ours[-1]:.2f} % of a core")


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description="One publisher, one subscriber, through loopback.")
    parser.add_argument("--raw-peer", default="target/release/depinmesh-raw-peer", help="the program of the raw pair")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--count", type=int, default=40_000, help="events of one run for the rate")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one run for the latency")
    parser.add_argument("--starts", type=int, default=5, help="processes started to measure starts, dials, imports")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--batching", action="store_true", help="also with signed batches")
    parser.add_argument("--unpinned", action="store_true", help="let the kernel choose the cores")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--quick", action="store_true", help="one small block: under a minute")
    parser.add_argument("--json", type=Path, help="add the results to this file, a JSON line each")
    options = parser.parse_args()
    if options.quick:
        options.blocks, options.count, options.seconds, options.starts = 1, 10_000, 3.0, 2
    if not Path(options.raw_peer).is_file():
        sys.exit(f"{options.raw_peer} is missing: `make bench` builds it, and --raw-peer says where it is")
    began, steps = monotonic(), (12 if options.batching else 8) * options.blocks + options.starts + 4
    done = 0

    def say(text: str) -> None:
        nonlocal done
        done += 1
        print(f"[{done}/{steps}, {monotonic() - began:.0f} s] {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            options.raw_peer,
            options.count,
            options.seconds,
            options.starts,
            not options.unpinned,
            options.loop,
            options.batching,
            Path(folder),
        )
        load, rng = Load(), random.Random(options.seed)
        try:
            for _ in range(options.blocks):
                pairs(bench, rng, say)
            for measure in (first_events, dials, imports, idle):
                measure(bench, say)
        finally:  # what there is, also when something failed
            report(bench, load.others(), options.json)


def report(bench: Bench, others: float, file: Path | None) -> None:
    """Print the table, and add all results to the file."""
    figures = bench.figures.values()
    columns = ("figure", "ours", "raw rust-libp2p", "ours to raw", "must", "goal", "reached")
    show("Loopback, 1 -> 1, 200-byte events: median [min..max]", columns, [figure.cells() for figure in figures])
    print(f"{describe()}; other programs used {others:.0%} of it")
    if file:
        machine: dict[str, object] = {"bench": "network", "machine": describe(), "others": others}
        rows = [{"bench": "network", **figure.as_json()} for figure in figures]
        with file.open("a", encoding="utf-8") as opened:
            opened.writelines(json.dumps(line) + "\n" for line in [machine, *bench.lines, *rows])


if __name__ == "__main__":
    main()
