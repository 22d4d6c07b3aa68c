"""What can be seen of the fleet: its registry, and the nodes that are asked first."""

from collections.abc import AsyncIterator, Iterable
from time import monotonic
from typing import NamedTuple

from depinmesh import (
    BootstrapNode,
    Config,
    ConfigError,
    Database,
    DialError,
    MeshTimeoutError,
    Node,
    NotAuthorizedError,
    RegistryError,
    Wallet,
)
from depinmesh.bootstrap import parse_node
from depinmesh.cli.asking import asking
from depinmesh.cli.doctor.finding import Absence, Finding
from depinmesh.multiaddr import parse_multiaddr

_TIMEOUT = 10.0
_SHOWN = 3  # names of what there may be very many of


class Registry(NamedTuple):
    """What the registries said."""

    findings: list[Finding]
    wallets: frozenset[Wallet]
    """All that are listed."""
    answered: bool
    """Whether one of them has answered."""
    complete: bool
    """Whether who is not among these wallets is not listed."""


async def registry(config: Config) -> Registry:
    """Ask the registry of each database, and look for the node's own wallet."""
    findings: list[Finding] = []
    wallets: frozenset[Wallet] = frozenset()
    answered, complete = False, True
    for name in (config.database, *config.databases):
        what = f"registry of {name}"
        start = monotonic()
        try:
            async with asking(config._wallets_of(name), config.gate.timeout) as source:
                own = await source.is_listed(config.private_key.wallet)
                listing = await source.wallets() if source.can_list else None
        except RegistryError as error:
            remedy = "until it answers, nobody new is admitted: see that it runs and can be reached from here"
            findings.append(Finding(what, "fault", str(error), remedy))
            continue
        seconds = monotonic() - start
        answered = True
        if listing is None:
            complete = False
            findings.append(Finding(what, "ok", f"it judges each wallet, in {seconds * 1000:.0f} ms"))
        else:
            wallets |= listing.wallets
            findings.append(_listing(what, len(listing.wallets), listing.invalid, seconds))
        findings.append(_own(name, config.private_key.wallet, listed=own))
    return Registry(findings, wallets, answered, complete)


def _listing(what: str, number: int, invalid: Iterable[str], seconds: float) -> Finding:
    if not number:
        return Finding(what, "fault", "it lists nobody", "list the wallets of the fleet")
    if bad := list(invalid):
        detail = f"{number} wallets, and {len(bad)} entries that are none: {', '.join(bad[:_SHOWN])}"
        return Finding(what, "warning", detail, "correct them in the registry; nodes leave them out")
    return Finding(what, "ok", f"{number} wallets in {seconds * 1000:.0f} ms")


def _own(database: str, wallet: Wallet, *, listed: bool) -> Finding:
    what = f"own wallet in {database}"
    if listed:
        return Finding(what, "ok", f"{wallet} is listed")
    return Finding(what, "fault", f"{wallet} is not listed, so no node lets it in", f"list {wallet} in the registry")


async def bootstrap(config: Config, registry: Registry, own: Database | Absence) -> AsyncIterator[Finding]:
    """Ask for the nodes to start from, look whether they are listed, and dial each with a node of ours, if there is."""
    try:
        async with asking(config.bootstrap_nodes, _TIMEOUT) as source:
            entries = await source.bootstrap_nodes()
    except RegistryError as error:
        remedy = "without it the node finds nobody after a start: see that it runs and can be reached from here"
        yield Finding("bootstrap list", "fault", str(error), remedy)
        return
    others = 0
    for entry in entries:
        try:
            wallet, address = _parsed(entry)
        except ConfigError as error:
            yield Finding("bootstrap list", "fault", str(error), "correct the entry; nodes leave it out")
            continue
        if wallet == config.private_key.wallet:
            continue
        others += 1
        what = f"bootstrap node {address}"
        if not registry.answered:
            yield Finding(what, "skipped", "without a registry nobody is let in", "mend the registry first")
        elif registry.complete and wallet not in registry.wallets:
            remedy = f"list {wallet}, or take the entry out"
            yield Finding(what, "fault", "its wallet is not listed, so it is not let in", remedy)
        elif isinstance(own, Absence):
            yield Finding(what, "skipped", f"not dialled, {own.reason}", own.remedy)
        else:
            yield await _dial(own.node, address, what)
    if not others:
        remedy = "give bootstrap_nodes unless this is the first node of the fleet"
        yield Finding("bootstrap list", "warning", "there is no other node in it", remedy)


def _parsed(entry: object) -> tuple[Wallet, BootstrapNode | str]:
    node = parse_node(entry)
    if isinstance(node, BootstrapNode):
        return node.wallet, node
    peer_id = parse_multiaddr(node).peer_id
    assert peer_id is not None  # parse_node has made sure
    return peer_id.wallet, node


async def _dial(node: Node, address: BootstrapNode | str, what: str) -> Finding:
    start = monotonic()
    try:
        await node.dial(address, timeout=_TIMEOUT)
    except NotAuthorizedError as error:
        remedy = "see that its registry lists our wallet and can be reached from there: `depinmesh doctor` on that node"
        return Finding(what, "fault", f"it is reached, but refuses: {error}", remedy)
    except (DialError, MeshTimeoutError) as error:
        remedy = "see that it runs, that host and ports are right, and that firewalls let UDP and TCP through"
        return Finding(what, "fault", str(error), remedy)
    return Finding(what, "ok", f"connected in {(monotonic() - start) * 1000:.0f} ms")
