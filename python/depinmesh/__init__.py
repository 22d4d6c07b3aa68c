"""Control-event mesh for DePIN fleets: asyncio on a Rust libp2p core, admitting only listed wallets.

The names below are the whole public interface; each is imported from its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depinmesh._opening import Subscribing
    from depinmesh.bootstrap import BootstrapNode, NodeSource
    from depinmesh.build import build_info
    from depinmesh.config import Config, ConfigFields
    from depinmesh.connecting import Connecting, connect
    from depinmesh.database import Database
    from depinmesh.errors import (
        AlreadySubscribedError,
        BackpressureError,
        ClosedError,
        ConfigError,
        CoreError,
        DialError,
        EncodeError,
        ForkedProcessError,
        IdentityError,
        ListenError,
        MeshError,
        MeshTimeoutError,
        MessageTooLargeError,
        NotAuthorizedError,
        NotSubscribedError,
        RegistryError,
        SubscriptionError,
        TopicError,
        WrongLoopError,
    )
    from depinmesh.event import Event
    from depinmesh.events import (
        DuplicateIdentity,
        EventStream,
        ListenAddress,
        MessageDropped,
        NotReady,
        Peer,
        PeerConnected,
        PeerDisconnected,
        PeerRefused,
        QueueOverflow,
        ReachabilityChanged,
        Ready,
        RegistryFailed,
        RegistryStale,
        WalletRevoked,
        WalletsChanged,
    )
    from depinmesh.gate import GateView
    from depinmesh.identity import Keypair, PeerId, Wallet
    from depinmesh.node import Node
    from depinmesh.options import Bootstrap, Connections, Discovery, Gate, Listen, Nat, PubSub
    from depinmesh.status import Metric, NodeState, Status
    from depinmesh.subscription import Subscription, SubscriptionStats
    from depinmesh.wallets import WalletSource

    __version__: str

__all__ = [
    "AlreadySubscribedError",
    "BackpressureError",
    "Bootstrap",
    "BootstrapNode",
    "ClosedError",
    "Config",
    "ConfigError",
    "ConfigFields",
    "Connecting",
    "Connections",
    "CoreError",
    "Database",
    "DialError",
    "Discovery",
    "DuplicateIdentity",
    "EncodeError",
    "Event",
    "EventStream",
    "ForkedProcessError",
    "Gate",
    "GateView",
    "IdentityError",
    "Keypair",
    "Listen",
    "ListenAddress",
    "ListenError",
    "MeshError",
    "MeshTimeoutError",
    "MessageDropped",
    "MessageTooLargeError",
    "Metric",
    "Nat",
    "Node",
    "NodeSource",
    "NodeState",
    "NotAuthorizedError",
    "NotReady",
    "NotSubscribedError",
    "Peer",
    "PeerConnected",
    "PeerDisconnected",
    "PeerId",
    "PeerRefused",
    "PubSub",
    "QueueOverflow",
    "ReachabilityChanged",
    "Ready",
    "RegistryError",
    "RegistryFailed",
    "RegistryStale",
    "Status",
    "Subscribing",
    "Subscription",
    "SubscriptionError",
    "SubscriptionStats",
    "TopicError",
    "Wallet",
    "WalletRevoked",
    "WalletSource",
    "WalletsChanged",
    "WrongLoopError",
    "__version__",
    "build_info",
    "connect",
]

_MODULES = {
    "_opening": ("Subscribing",),
    "bootstrap": ("BootstrapNode", "NodeSource"),
    "build": ("build_info",),
    "config": ("Config", "ConfigFields"),
    "connecting": ("Connecting", "connect"),
    "database": ("Database",),
    "errors": (
        "AlreadySubscribedError",
        "BackpressureError",
        "ClosedError",
        "ConfigError",
        "CoreError",
        "DialError",
        "EncodeError",
        "ForkedProcessError",
        "IdentityError",
        "ListenError",
        "MeshError",
        "MeshTimeoutError",
        "MessageTooLargeError",
        "NotAuthorizedError",
        "NotSubscribedError",
        "RegistryError",
        "SubscriptionError",
        "TopicError",
        "WrongLoopError",
    ),
    "event": ("Event",),
    "events": (
        "DuplicateIdentity",
        "EventStream",
        "ListenAddress",
        "MessageDropped",
        "NotReady",
        "Peer",
        "PeerConnected",
        "PeerDisconnected",
        "PeerRefused",
        "QueueOverflow",
        "ReachabilityChanged",
        "Ready",
        "RegistryFailed",
        "RegistryStale",
        "WalletRevoked",
        "WalletsChanged",
    ),
    "gate": ("GateView",),
    "identity": ("Keypair", "PeerId", "Wallet"),
    "node": ("Node",),
    "options": ("Bootstrap", "Connections", "Discovery", "Gate", "Listen", "Nat", "PubSub"),
    "status": ("Metric", "NodeState", "Status"),
    "subscription": ("Subscription", "SubscriptionStats"),
    "wallets": ("WalletSource",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # or the checkers would take every name for one of the package

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (PEP 562): `import depinmesh` itself stays cheap."""
        if name == "__version__":
            value: object = import_module("depinmesh.build").version()
        elif name in _MODULE_OF:
            value = getattr(import_module(f"depinmesh.{_MODULE_OF[name]}"), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(set(globals()) | set(__all__))
