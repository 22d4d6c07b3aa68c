"""The status of a node as one JSON document: what `/status` answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic_core import to_json

from depinmesh.build import build_info
from depinmesh.health import readiness

if TYPE_CHECKING:
    from depinmesh.database import Database
    from depinmesh.node import Node


def report(node: Node, min_peers: int = 1) -> bytes:
    """Return the status of a node, its peers, databases, topics and registry as JSON. It holds no secret.

    The keys: `node` has the fields of `Status` and `bootstrap_entries`; `peers` those of `Peer`; `databases` name,
    readiness, peer ids and topics with their peers and the counters of their subscriptions; `registry` the wallets,
    the age of the list in seconds, and whether the node's own wallet is listed; `checks` what `/readyz` looks at;
    `build` the versions. Times are ISO 8601 in UTC, durations seconds.

    Args:
        node: Whose status it is.
        min_peers: How many peers readiness asks for.
    """
    status = asdict(node.status())
    del status["databases"]  # they have a part of their own, with more in it
    document = {
        "node": {**status, "bootstrap_entries": node.bootstrap_entries()},
        "databases": [_database(database) for database in node._databases if not database._is_closed],
        "peers": [asdict(peer) for peer in node.peers()],
        "registry": {"wallets": node.gate.wallets, "age": node.gate.age, "listed": node.gate.listed},
        "checks": [asdict(check) for check in readiness(node, min_peers)],
        "build": build_info(),
    }
    return to_json(document, inf_nan_mode="null")


def _database(database: Database) -> dict[str, object]:
    return {
        "name": database.name,
        "is_ready": database.is_ready,
        "peers": [peer.peer_id for peer in database.peers()],
        "topics": [_topic(database, topic) for topic in database.topics()],
    }


def _topic(database: Database, topic: str) -> dict[str, object]:
    return {
        "topic": topic,
        "peers": database.topic_peers(topic),
        "subscriptions": [asdict(subscription.stats) for subscription in database._subscriptions.get(topic, ())],
    }
