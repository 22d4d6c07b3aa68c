"""Where the time of an event goes: `make bench-profile`.

Samples both sides of a pair with `perf` while events flow, and tells what share of the samples fell into what. It needs
no hardware counters, which virtual machines often lack, and holds on a busy machine: samples are of processor time.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import sleep

from benches.support.processes import heed_termination
from benches.support.systems import BATCHED, OURS, RAW, Plan, Setup, System

# The first that matches "file symbol" wins.
PARTS = (
    ("kernel: sockets, waits, wakes", r"^\[|vdso"),
    ("signatures", r"curve25519|ed25519|sha2|sha512|Sha512|subtle"),
    ("encryption", r"aws_lc|aesni|chacha|poly1305|gcm|noise|snow|rustls|\bring::|ring_core|ghash"),
    ("QUIC, yamux, streams", r"quinn|libp2p_quic|yamux|multistream|asynchronous_codec|unsigned_varint"),
    ("gossip", r"gossipsub|prost|protobuf|hashlink|lru"),
    ("swarm and its behaviours", r"libp2p|multiaddr|multihash|either|swarm"),
    ("depinmesh: envelope, checks, rings, mailbox, binding", r"depinmesh|pyo3|_core::|serde|uuid|itoa"),
    ("tokio, futures, channels", r"tokio|futures|mio|parking_lot|crossbeam"),
    ("Python, pydantic", r"python|pydantic|_asyncio|_json|_struct|_ctypes|mmap"),
    ("allocator", r"malloc|free|calloc|realloc|_int_|unlink_chunk|\balloc::"),
    ("copies, comparisons", r"memcpy|memmove|memset|memcmp"),
    ("hashing, maps", r"hash|siphasher"),
    ("rest", r""),
)
SYSTEMS = {system.name: system for system in (OURS, BATCHED, RAW)}


def record(pid: int, seconds: float, file: Path) -> subprocess.Popen[bytes]:
    """Sample all threads of a process."""
    command = ("perf", "record", "--quiet", "-e", "cpu-clock", "-F", "1999", "-p", str(pid), "-o", str(file))
    return subprocess.Popen((*command, "--", "sleep", str(seconds)), stderr=subprocess.DEVNULL)


def parts(file: Path) -> dict[str, float]:
    """Return the per cent of the samples of each part."""
    command = (
        "perf",
        "report",
        "-i",
        str(file),
        "--stdio",
        "-F",
        "overhead,dso,sym",
        "-t",
        ";",
        "--percent-limit",
        "0",
    )
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = dict.fromkeys((name for name, _ in PARTS), 0.0)
    for share, where, symbol in re.findall(r"^\s*([\d.]+)%\s*;([^;]*);(.*)$", told, re.MULTILINE):
        text = f"{where.strip()} {symbol.strip()}".removeprefix("depinmesh-raw-peer")  # which is all of that pair
        found[next(name for name, pattern in PARTS if re.search(pattern, text))] += float(share)
    return found


def profile(setup: Setup, system: System, transport: str, rate: int, seconds: float) -> list[dict[str, float]]:
    """Return the parts of the publisher and of the subscriber."""
    plan = Plan(transport, int((rate or system.rate) * (seconds + 60)), warmup=1, rate=rate)
    files = [setup.folder / f"{side}-{transport}" for side in ("publisher", "subscriber")]
    with (
        system.receiver(setup, plan) as receiver,
        system.sender(setup, plan, receiver.line("listening")["address"]) as sender,
    ):
        sleep(3)  # connected, and past the first events
        children = zip((sender, receiver), files, strict=True)
        watching = [record(child.pid, seconds, file) for child, file in children]
        ended = [one.wait() for one in watching]
        for child in (sender, receiver):
            child.end()
    if any(ended):
        raise RuntimeError("perf recorded nothing: it needs the right to sample, as root has it")
    return [parts(file) for file in files]


def main() -> int:
    """Print a table for each transport."""
    parser = argparse.ArgumentParser(description="Where the time of an event goes.")
    parser.add_argument("--target", type=Path, default=Path("target"), help="Cargo's folder")
    parser.add_argument("--system", choices=SYSTEMS, default="ours")
    parser.add_argument("--transports", nargs="+", choices=("quic", "tcp"), default=("quic", "tcp"))
    parser.add_argument("--rate", type=int, default=0, help="events a second; 0: as many as go")
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    heed_termination()
    for transport in given.transports:
        with tempfile.TemporaryDirectory() as folder:
            setup = Setup(given.target.absolute(), Path(folder))
            sides = profile(setup, SYSTEMS[given.system], transport, given.rate, given.seconds)
        print(
            f"\n| {given.system}, {transport.upper()}, % of the samples | publisher | subscriber |\n| --- | --- | --- |"
        )
        for name, _ in PARTS:
            print(f"| {name} | " + " | ".join(f"{side[name]:.1f}" for side in sides) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
