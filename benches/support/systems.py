"""The systems that are measured beside each other: how a pair of each is started, and what it needs."""

from __future__ import annotations

import os
import sys
import tomllib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from benches.support.processes import Child, python
from depinmesh import Keypair

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
NODE = python("-m", "benches.support.node")


@dataclass(frozen=True)
class Setup:
    """Where programs are, and how they are run."""

    target: Path
    """Cargo's folder, in which the programs of all systems are built."""
    folder: Path
    """For what a run leaves behind."""
    pinned: bool = True
    loop: str = "asyncio"

    def core(self, number: int) -> int | None:
        """Return the core for one of the two sides."""
        return number if self.pinned else None

    @property
    def built(self) -> Path:
        """What `make bench-build` leaves: the package, programs, and the file `built`, which says how."""
        return self.target / "bench"

    @property
    def raw_peer(self) -> Path:
        """The program of the raw pair, which also calibrates."""
        return self.built / "depinmesh-raw-peer"


@dataclass(frozen=True)
class Plan:
    """What a pair does."""

    transport: str
    count: int
    warmup: int = 0
    size: int = 200
    rate: int = 0
    """Events a second on a schedule; 0: as fast as the window allows."""
    linger: float = 0.0
    """Seconds that both stay connected afterwards."""
    credit: str = field(default_factory=lambda: f"credit-{monotonic_ns()}")


@dataclass(frozen=True, kw_only=True)
class System(ABC):
    """One of those that are compared."""

    name: str
    label: str
    transports: tuple[str, ...] = ("quic", "tcp")
    window: int = 512
    """Events on the way: as many as its queues take without loss."""
    rate: int
    """Events a second, roughly: how many a run of some seconds needs."""
    latency_rate: int = 500

    @abstractmethod
    def missing(self, setup: Setup) -> str | None:
        """Return what has to be done before it can run; None when it can."""

    @abstractmethod
    def receiver(self, setup: Setup, plan: Plan) -> Child:
        """Start the side that listens, on the second core."""

    @abstractmethod
    def sender(self, setup: Setup, plan: Plan, address: str) -> Child:
        """Start the side that dials and publishes, on the first core."""


def window_of(system: System, plan: Plan) -> int:
    """Return the window, smaller for large events: queues have a bound in bytes too."""
    return max(1, min(system.window, 4 * 2**20 // plan.size))


@dataclass(frozen=True, kw_only=True)
class Ours(System):
    """depinmesh."""

    name: str = "ours"
    label: str = "depinmesh"
    rate: int = 20_000
    more: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the configuration beside the necessary ones."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of its processes beside ours."""
    keys: tuple[Keypair, Keypair] = field(default_factory=lambda: (Keypair.generate(), Keypair.generate()))

    def missing(self, setup: Setup) -> str | None:
        """Return nothing: without us there is no bench."""
        return None

    def receiver(self, setup: Setup, plan: Plan) -> Child:
        """Start the side that listens."""
        return self._child(setup, plan, "receive", 1)

    def sender(self, setup: Setup, plan: Plan, address: str) -> Child:
        """Start the side that dials."""
        return self._child(setup, plan, "send", 0, bootstrap=[address])

    def dialler(self, setup: Setup, plan: Plan, address: str) -> Child:
        """Start one that only dials."""
        return self._child(setup, plan, "dial", 0, address=address)

    def _child(self, setup: Setup, plan: Plan, role: str, core: int, **more: object) -> Child:
        spec = {
            "role": role,
            "loop": setup.loop,
            "key": self.keys[core].to_base58(),
            "wallets": [key.wallet for key in self.keys],
            "more": dict(self.more),
            **vars(plan),
            "credit": str(setup.folder / plan.credit),
            "window": window_of(self, plan),
            **more,
        }
        return Child(NODE, core=setup.core(core), spec=spec, environment={**os.environ, **self.environment})


@dataclass(frozen=True, kw_only=True)
class Foreign(System):
    """A system whose program takes the command line of the raw peer."""

    program: tuple[str, ...]
    """The command; {target} stands for Cargo's folder."""
    needs: str
    """What must be there, below Cargo's folder."""
    make: str
    """The make target that puts it there."""

    def missing(self, setup: Setup) -> str | None:
        """Return the make target to run, when its program is not there."""
        return None if (setup.target / self.needs).exists() else f"`make {self.make}`"

    def receiver(self, setup: Setup, plan: Plan) -> Child:
        """Start the side that listens."""
        latency = ("--latency",) if plan.rate else ()
        return self._child(setup, plan, 1, "recv", "--count", str(plan.count), *latency)

    def sender(self, setup: Setup, plan: Plan, address: str) -> Child:
        """Start the side that dials."""
        to = ("--address", address, "--size", str(plan.size), "--window", str(window_of(self, plan)))
        fast, scheduled = ("--count", plan.count), ("--rate", plan.rate, "--seconds", plan.count / (plan.rate or 1))
        return self._child(setup, plan, 0, "send", *to, *map(str, scheduled if plan.rate else fast))

    def _child(self, setup: Setup, plan: Plan, core: int, role: str, *more: str) -> Child:
        command = [part.format(target=setup.target) for part in self.program]
        credit = str(setup.folder / plan.credit)
        common = ("--transport", plan.transport, "--credit", credit, "--warmup", str(plan.warmup))
        environment = {**os.environ, "NATS_SERVER": str(setup.target / "bench-peers/nats-server")}
        return Child(
            [*command, role, *common, "--linger", str(plan.linger), *more],
            core=setup.core(core),
            environment=environment,
        )


OURS = Ours()
BATCHED = Ours(
    name="batched",
    label="depinmesh, batching",
    window=4096,  # a batch takes what waits, and with few events on the way little does
    rate=150_000,
    more={"pubsub": {"batching": True, "queue_size": 8192}},
)
RAW = Foreign(
    name="raw",
    label="raw rust-libp2p",
    program=("{target}/bench/depinmesh-raw-peer",),
    needs="bench/depinmesh-raw-peer",
    make="bench-build",
    rate=20_000,
)
_SIGNING = "{target}/bench-peers/python/bin/python"
SYSTEMS: tuple[System, ...] = (
    OURS,
    BATCHED,
    RAW,
    Foreign(
        name="go",
        label="go-libp2p as the Go library has it",
        program=("{target}/bench-peers/go-peer",),
        needs="bench-peers/go-peer",
        make="bench-go",
        window=24,  # its queues hold 32
        rate=5_000,
    ),
    Foreign(
        name="py",
        label="py-libp2p",
        program=("{target}/interop/py/bin/python", "-m", "benches.peers.py"),
        needs="interop/py/bin/python",
        make="bench-py",
        window=32,
        rate=400,
        latency_rate=50,  # 500 a second are too many for it
    ),
    Foreign(
        name="js",
        label="js-libp2p",
        program=("node", "{target}/interop/js/bench.js"),
        needs="interop/js/bench.js",
        make="bench-js",
        transports=("tcp",),
        window=256,
        rate=3_000,
    ),
    Foreign(
        name="zenoh",
        label="zenoh-python + Ed25519",
        program=(_SIGNING, "-m", "benches.peers.zenoh"),
        needs="bench-peers/python/bin/python",
        make="bench-zenoh-nats",
        rate=10_000,
    ),
    Foreign(
        name="nats",
        label="nats-py + Ed25519",
        program=(_SIGNING, "-m", "benches.peers.nats"),
        needs="bench-peers/nats-server",
        make="bench-zenoh-nats",
        transports=("tcp",),
        rate=10_000,
    ),
)
MAIN = ("ours", "batched", "raw", "go", "py")
"""Those that every run has."""


def versions() -> dict[str, str]:
    """Return the versions of what is compiled here."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    wanted = {"depinmesh-core", "libp2p", "libp2p-gossipsub", "libp2p-quic", "quinn", "tokio", "ed25519-dalek", "pyo3"}
    found = {package["name"]: package["version"] for package in lock["package"] if package["name"] in wanted}
    return {**found, "python": sys.version.split()[0]}
