"""Every error of depinmesh. The message is a sentence for people, the fields are for programs.

The tree, with the second base from the builtins in brackets:

    MeshError
        ConfigError (ValueError)
        IdentityError (ValueError)
        TopicError (ValueError)
        EncodeError (ValueError)
        MessageTooLargeError (ValueError)
        ListenError (OSError)
        RegistryError
        DialError
        NotAuthorizedError
        SubscriptionError
            AlreadySubscribedError
            NotSubscribedError
        BackpressureError
        ClosedError
        WrongLoopError (RuntimeError)
        ForkedProcessError (RuntimeError)
        MeshTimeoutError (TimeoutError)
        CoreError

Wrong input is a `ValueError`, raised at the call and before any effect; a wrong state is not. A field whose value is
not known is `None`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self


class MeshError(Exception):
    """Base of every error of depinmesh."""


class ConfigProblem(NamedTuple):
    """One wrong field of a configuration."""

    path: str
    """Where: `listen.quic_port`, `bootstrap_nodes[2].host`; empty for the whole."""
    value: str | None
    """What was given, as text and shortened; `None` when nothing was given, or when it may be a secret."""
    reason: str
    """What is wrong with it."""
    hint: str | None
    """What to do: the nearest known name, or what the field means."""
    source: str | None = None
    """Who gave it, of a configuration that was loaded: `node.yaml line 3`, `DEPINMESH_GATE__TIMEOUT`."""

    def __str__(self) -> str:
        """Join the parts in one line."""
        where = self.path if self.value is None else f"{self.path} = {self.value}" if self.path else self.value
        line = f"{where}: {self.reason}" if where else self.reason
        line = f"{line} ({self.hint})" if self.hint else line
        return f"{line} [{self.source}]" if self.source else line

    def under(self, prefix: str) -> Self:
        """Return the same problem as seen from a level above."""
        dot = "." if self.path and not self.path.startswith("[") and prefix else ""
        return self._replace(path=f"{prefix}{dot}{self.path}")


class ConfigError(MeshError, ValueError):
    """A configuration is wrong. `errors` has every wrong field, not only the first."""

    def __init__(self, message: str, *, errors: Iterable[ConfigProblem] = ()) -> None:
        super().__init__(message)
        self.errors = list(errors)

    @classmethod
    def of(cls, problems: Iterable[ConfigProblem]) -> Self:
        """Make the error whose message lists these problems, one a line."""
        errors = list(problems)
        lines = [str(problem) for problem in errors]
        if len(lines) == 1:
            return cls(lines[0], errors=errors)
        return cls("\n  ".join([f"{len(lines)} fields are wrong:", *lines]), errors=errors)


class IdentityError(MeshError, ValueError):
    """A wallet, a peer id, a key or a key file is not usable. The message never shows a secret."""

    def __init__(self, message: str, *, file: str | None = None) -> None:
        super().__init__(message)
        self.file = file


class TopicError(MeshError, ValueError):
    """A topic cannot be used: empty, too long, with a control character, or one subscription too many for the wire."""

    def __init__(self, message: str, *, topic: str | None = None) -> None:
        super().__init__(message)
        self.topic = topic


class EncodeError(MeshError, ValueError):
    """A message is not strict JSON. `path` says where, such as `message.a[3]`."""

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class MessageTooLargeError(MeshError, ValueError):
    """An event would be larger than the wire or `pubsub.max_message_size` allows. Both fields are in bytes."""

    def __init__(self, message: str, *, size: int | None = None, limit: int | None = None) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class ListenError(MeshError, OSError):
    """The node cannot listen on an address: most often another process has the port."""

    def __init__(self, message: str, *, address: str | None = None, port: int | None = None) -> None:
        super().__init__(message)
        self.address = address
        self.port = port


class RegistryError(MeshError):
    """The registry of a database failed, or answered with something that is no list of wallets."""

    def __init__(self, message: str, *, database: str | None = None) -> None:
        super().__init__(message)
        self.database = database


class DialError(MeshError):
    """No connection to a peer came about. `causes` has a sentence for each address that was tried."""

    def __init__(
        self, message: str, *, address: str | None = None, peer_id: str | None = None, causes: list[str] | None = None
    ) -> None:
        super().__init__(message)
        self.address = address
        self.peer_id = peer_id
        self.causes = causes or []


class NotAuthorizedError(MeshError):
    """A gate said no: ours to the peer, or the peer's to us. `reason` is its word, such as `not-listed`."""

    def __init__(
        self, message: str, *, peer_id: str | None = None, wallet: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.peer_id = peer_id
        self.wallet = wallet
        self.reason = reason


class SubscriptionError(MeshError):
    """Base of what can be wrong with a subscription."""

    def __init__(self, message: str, *, topic: str | None = None) -> None:
        super().__init__(message)
        self.topic = topic


class AlreadySubscribedError(SubscriptionError):
    """The topic has a handler, and can have only one."""


class NotSubscribedError(SubscriptionError):
    """The topic has no subscription to end."""


class BackpressureError(MeshError):
    """The queue to the network is full; `publish` would have waited where `publish_nowait` raises this."""


class ClosedError(MeshError):
    """The node, the database or the subscription is closed."""


class WrongLoopError(MeshError, RuntimeError):
    """A call came from another event loop or thread than the one that started the node."""


class ForkedProcessError(MeshError, RuntimeError):
    """A node was used in a forked child, where its threads and connections do not exist."""


class MeshTimeoutError(MeshError, TimeoutError):
    """A time limit passed. `timeout` is that limit in seconds."""

    def __init__(self, message: str, *, timeout: float | None = None) -> None:
        super().__init__(message)
        self.timeout = timeout


class CoreError(MeshError):
    """The native core failed in a way that has no class of its own; please report it."""


# By the names of `ErrorKind` in the Rust core. SubscriptionError is a base, WrongLoopError comes from Python alone.
_CLASSES: dict[str, type[MeshError]] = {
    "Config": ConfigError,
    "Identity": IdentityError,
    "Topic": TopicError,
    "Encode": EncodeError,
    "MessageTooLarge": MessageTooLargeError,
    "Listen": ListenError,
    "Registry": RegistryError,
    "Dial": DialError,
    "NotAuthorized": NotAuthorizedError,
    "AlreadySubscribed": AlreadySubscribedError,
    "NotSubscribed": NotSubscribedError,
    "Backpressure": BackpressureError,
    "Closed": ClosedError,
    "ForkedProcess": ForkedProcessError,
    "Timeout": MeshTimeoutError,
    "Core": CoreError,
}


def from_core(kind: str, message: str, fields: Mapping[str, object]) -> MeshError:
    """Make the exception for an error of the core. A field that its class does not have becomes a note."""
    error = _CLASSES.get(kind, CoreError)(message)
    rest = dict(fields)
    if isinstance(error, ConfigError):
        path, value, hint = (rest.pop(name, None) for name in ("path", "value", "hint"))
        shown_value = None if value is None else shown(value)
        error.errors = [ConfigProblem(str(path or ""), shown_value, message, None if hint is None else str(hint))]
    for name, value in rest.items():
        if name in vars(error):
            setattr(error, name, value)
        else:
            error.add_note(f"{name}: {value}")
    return error


# A secret key in one of its usual forms: Base58 or hexadecimal text, or the numbers of a Solana CLI file. Wallets
# (at most 44 characters) and peer ids (52) are shorter.
_SECRET = re.compile(r"[0-9A-Za-z]{64,}|(?:\d{1,3}\s*,\s*){31,}\d{1,3}")
_LONGEST = 120  # the longest multiaddr


def without_secrets(text: str) -> str:
    """Return the text with everything replaced that may be a secret key."""
    return _SECRET.sub("(hidden)", text)


def shown(value: object) -> str:
    """Return how a value appears in an error or a log: short, and without anything that may be a secret key."""
    if isinstance(value, str):
        text = without_secrets(value)
        return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")
    if value is None or isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= _LONGEST):
        return str(value)
    # The repr of anything else may be long, may fail, and may show a secret, as that of a solders Keypair does.
    return f"<{type(value).__name__}>"
