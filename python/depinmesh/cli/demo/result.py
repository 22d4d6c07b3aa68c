"""What the demonstration has seen, and whether it is what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NODES = ("ada", "bob", "cyd")
LINKS = {("ada", "bob"): "quic", ("ada", "cyd"): "tcp", ("bob", "cyd"): "tcp"}
"""As cyd has no QUIC."""


@dataclass(kw_only=True)
class Seen:
    """The count of one node: all so far, since its start."""

    sent: int = 0
    received: dict[str, int] = field(default_factory=dict)
    """By the name of the author."""
    refused: dict[str, int] = field(default_factory=dict)
    """How often it has refused the stranger, by the reason, as far as it has told: the rest of a second comes later."""
    let_in: str | None = None
    """The transport by which the stranger came in, when it did."""
    links: dict[str, str] = field(default_factory=dict)
    """The transport of the link to each node."""
    first: float | None = None
    """When it got its first event, in Unix seconds."""

    def of_nodes(self) -> int:
        """How many events of other nodes it got."""
        return sum(self.received.get(name, 0) for name in NODES)


@dataclass(kw_only=True)
class Scene:
    """One part: what each node had counted when it ended, and what came of the stranger's visit."""

    seen: dict[str, Seen] = field(default_factory=dict)
    connected: int = 0
    identified: int = 0
    events_received: int = 0
    events_sent: int = 0
    events_published: int = 0
    ends: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Result:
    """The whole play."""

    wallets: dict[str, str]
    """By name; the stranger's is there too."""
    listens: dict[str, str] = field(default_factory=dict)
    """The transports that each node listens on."""
    each: int
    """Events that each node sends in each scene."""
    profile: str
    started_at: float
    took: float = 0.0
    alone: Scene = field(default_factory=Scene)
    unlisted: Scene = field(default_factory=Scene)
    listed: Scene = field(default_factory=Scene)
    codes: dict[str, int | None] = field(default_factory=dict)
    """Exit codes of the processes."""

    @property
    def first_delivery(self) -> float | None:
        """Seconds from the start of the processes to the first event that any node got."""
        times = [seen.first for seen in self.alone.seen.values() if seen.first is not None]
        return min(times) - self.started_at if times else None

    def scenes(self) -> list[tuple[str, Scene]]:
        """In the order of the play, with their titles."""
        return [
            ("the nodes alone", self.alone),
            ("the stranger is not listed", self.unlisted),
            ("the stranger is listed", self.listed),
        ]


def problems(result: Result) -> list[str]:
    """Return what is not as promised, a sentence each; none when the demonstration has succeeded."""
    checks = (_wrong_links, _wrong_counts, _wrong_visit, _wrong_control, _wrong_ends)
    return [problem for check in checks for problem in check(result)]


def _wrong_links(result: Result) -> Iterator[str]:
    for (one, other), expected in LINKS.items():
        for here, there in ((one, other), (other, one)):
            found = result.alone.seen[here].links.get(there)
            if found != expected:
                yield f"the link of {here} to {there} should be {expected}, and is {found or 'missing'}"


def _wrong_counts(result: Result) -> Iterator[str]:
    for number, (title, scene) in enumerate(result.scenes(), 1):
        expected = number * result.each
        for name, seen in scene.seen.items():
            if seen.sent != expected:
                yield f"{title}: {name} should have sent {expected} events so far, and has sent {seen.sent}"
            for author in NODES:
                wanted = 0 if author == name else expected
                got = seen.received.get(author, 0)
                if got != wanted:
                    yield f"{title}: {name} should have {wanted} events of {author} so far, and has {got}"


def _wrong_visit(result: Result) -> Iterator[str]:
    scene = result.unlisted
    if scene.identified or scene.events_received or scene.events_sent:
        yield (
            f"the stranger is not listed, and was let in by {scene.identified} nodes, "
            f"got {scene.events_received} events and sent {scene.events_sent}"
        )
    if not scene.events_published or not scene.ends:
        yield "the stranger did not try to get in, so that its failure proves nothing"
    for name, seen in scene.seen.items():
        if arrived := seen.received.get("stranger", 0):
            yield f"{name} took {arrived} events of the stranger, which is not listed"
        if seen.let_in:
            yield f"{name} let the stranger in, which is not listed"
        if not seen.refused:
            yield f"{name} has not reported that it refused the stranger"


def _wrong_control(result: Result) -> Iterator[str]:
    scene, wanted = result.listed, len(NODES) * result.each
    if scene.identified < len(NODES):
        yield f"the stranger is listed, and only {scene.identified} of {len(NODES)} nodes let it in"
    if scene.events_received != wanted:
        yield f"the stranger is listed, and should have got {wanted} events, not {scene.events_received}"
    for name, seen in scene.seen.items():
        if not seen.let_in:
            yield f"{name} has not reported that it let the stranger in, which is listed"
        if not 0 < seen.received.get("stranger", 0) <= scene.events_sent:
            got = seen.received.get("stranger", 0)
            yield f"{name} got {got} of the {scene.events_sent} events of the stranger, which is listed"


def _wrong_ends(result: Result) -> Iterator[str]:
    for name, code in result.codes.items():
        if code != 0:
            how = "did not end in time" if code is None else f"ended with code {code}"
            yield f"the process of {name} {how}"
    if result.first_delivery is None:
        yield "no node got any event"
