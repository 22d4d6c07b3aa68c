"""Who a node is: the wallet (the public key of a Solana key pair), the peer id made of it, and the key pair itself."""

# the classes here make each other, of what the core has checked

import io
import os
import shlex
import stat
from pathlib import Path
from typing import NoReturn, Self, SupportsBytes, TypeAlias, cast, final

from depinmesh import _core
from depinmesh._paths import expanded
from depinmesh.errors import IdentityError, without_secrets

WalletLike: TypeAlias = str | SupportsBytes
"""A wallet as Base58 text, 32 bytes, or an object with 32 `bytes()`, such as a solders `Pubkey`."""

_LARGEST_FILE = 4096  # bytes; a key file in either form has fewer than 400


def raw_bytes(value: object) -> bytes | None:
    """Return the bytes of an object that says itself what they are, else `None`; `bytes(32)` would be 32 zeros."""
    # Not isinstance(value, SupportsBytes), which is the same but costs 25 us: a list of wallets asks 100,000 times.
    if isinstance(value, (bytes, bytearray, memoryview)) or hasattr(type(value), "__bytes__"):
        return bytes(cast("SupportsBytes", value))
    return None


def _ascii(text: str, what: str) -> str:
    # What UTF-8 cannot carry would fail on the way to the core, with an error that has the text, perhaps a secret.
    if not text.isascii():
        raise IdentityError(f"the {what} is not Base58: it has characters other than ASCII")
    return text


class Wallet(str):
    """The Base58 text of a public key, made of text, 32 bytes, or an object with 32 `bytes()` (a solders `Pubkey`).

    Refused with `IdentityError`: what is not 32 bytes, not a canonical point of the curve, or of small order.
    """

    __slots__ = ()

    def __new__(cls, value: WalletLike) -> Self:
        """Check the key and keep its text."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            _core.wallet_bytes(_ascii(value, "wallet"))
            return cls._trusted(value)
        raw = raw_bytes(value)
        if raw is None:
            raise IdentityError(f"a wallet is Base58 text or 32 bytes, not {type(value).__name__}")
        return cls._trusted(_core.check_wallet(raw))

    @classmethod
    def _trusted(cls, text: str) -> Self:
        """Make one of text that the core has checked."""
        return super().__new__(cls, text)

    @property
    def peer_id(self) -> "PeerId":
        """The peer id of the node that has this wallet."""
        return PeerId._trusted(_core.peer_id_of(self))

    def __bytes__(self) -> bytes:
        """Return the 32 bytes of the public key."""
        return _core.wallet_bytes(self)

    def __repr__(self) -> str:
        """Show the class too, as a wallet and a peer id are easily confused."""
        return f"Wallet({super().__repr__()})"


class PeerId(str):
    """The libp2p name of a node: `12D3KooW...`. Only those of Ed25519 keys exist here, as only they have a wallet."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check the peer id and keep its text."""
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise IdentityError(f"a peer id is Base58 text, not {type(value).__name__}")
        _core.wallet_of(_ascii(value, "peer id"))
        return cls._trusted(value)

    @classmethod
    def _trusted(cls, text: str) -> Self:
        """Make one of text that the core has checked."""
        return super().__new__(cls, text)

    @property
    def wallet(self) -> Wallet:
        """The wallet that this peer id is made of."""
        return Wallet._trusted(_core.wallet_of(self))

    def __bytes__(self) -> bytes:
        """Return the 32 bytes of the public key."""
        return bytes(self.wallet)

    def __repr__(self) -> str:
        """Show the class too, as a wallet and a peer id are easily confused."""
        return f"PeerId({super().__repr__()})"


@final
class Keypair:
    """An Ed25519 key pair: the identity of a node.

    Made of the 64 bytes of the Solana secret (seed and public key), of their Base58 text, of an object whose `bytes()`
    they are, such as a solders `Keypair`, or of another `Keypair`. A public half that does not belong to the seed is
    refused.

    The secret leaves only through `to_base58()`: it is in no `repr` and no error; copy and pickle raise `TypeError`.
    """

    __slots__ = ("_secret",)

    _secret: _core.SecretKey

    def __init__(self, secret: "SecretLike") -> None:
        """Check the secret and hand it to the core, which keeps it."""
        if isinstance(secret, Keypair):
            self._secret = secret._secret
        elif isinstance(secret, str):
            self._secret = _core.SecretKey.from_base58(_ascii(secret, "secret key"))
        else:
            raw = raw_bytes(secret)
            if raw is None:
                raise IdentityError(f"a secret key is Base58 text or 64 bytes, not {type(secret).__name__}")
            self._secret = _core.SecretKey.from_bytes(raw)

    @classmethod
    def _of(cls, secret: _core.SecretKey) -> Self:
        key = cls.__new__(cls)
        key._secret = secret
        return key

    @classmethod
    def generate(cls) -> Self:
        """Make a new key pair from the randomness of the operating system."""
        return cls._of(_core.SecretKey.generate())

    @classmethod
    def from_base58(cls, text: str) -> Self:
        """Read the Base58 text of the 64 bytes of a Solana secret."""
        if not isinstance(text, str):
            raise IdentityError(f"a secret key in Base58 is text, not {type(text).__name__}")
        return cls(text)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make the key pair of a 32-byte seed."""
        raw = raw_bytes(seed)
        if raw is None:
            raise IdentityError(f"a seed is 32 bytes, not {type(seed).__name__}")
        return cls._of(_core.SecretKey.from_seed(raw))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read a key file: the JSON array of the Solana CLI, or Base58 text.

        A file that others may read or its group may write is refused (not on Windows). A missing or damaged file is an
        `IdentityError` that names it; a new identity is never made silently.
        """
        try:
            file = expanded(path)
        except ValueError as error:
            raise _file_error(Path(path), str(error)) from None
        content = _read_private(file)
        try:
            return cls._of(_core.SecretKey.from_file_content(content))
        except IdentityError as error:
            reason = str(error)
        finally:
            content[:] = bytes(len(content))
        raise _file_error(file, f"is damaged: {reason}")

    @property
    def wallet(self) -> Wallet:
        """The public key."""
        return Wallet._trusted(self._secret.wallet)

    @property
    def peer_id(self) -> PeerId:
        """The peer id of the node that has this key."""
        return PeerId._trusted(self._secret.peer_id)

    def to_base58(self) -> str:
        """Return the secret as Base58 text, the form that wallets and the Go library read. Keep it away from logs."""
        return self._secret.to_base58()

    def __eq__(self, other: object) -> bool:
        """Compare by wallet: the same public key means the same secret."""
        return isinstance(other, Keypair) and self.wallet == other.wallet

    def __hash__(self) -> int:
        """Agree with `==`."""
        return hash(self.wallet)

    def __repr__(self) -> str:
        """Show the wallet, never the secret."""
        return f"Keypair(wallet={str(self.wallet)!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse `copy` and `pickle`, which would spread the secret."""
        raise TypeError("a Keypair cannot be copied or pickled: hand on the object itself, or use to_base58()")


SecretLike: TypeAlias = Keypair | str | SupportsBytes
"""A secret key as a `Keypair`, Base58 text, 64 bytes, or an object with 64 `bytes()`, such as a solders `Keypair`."""


def _file_error(file: Path, what: str) -> IdentityError:
    name = without_secrets(str(file))  # somebody may have given the secret itself where its file belongs
    return IdentityError(f"the key file {name} {what}", file=name)


def _read_private(file: Path) -> bytearray:
    """Read a key file after checking that only its owner, and perhaps its group, can read it. The caller wipes it."""
    problem, content = None, bytearray()
    try:
        # Not blocking: opening a named pipe would wait for its writer.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)  # of the open file: it cannot be swapped in between
            problem = _problem(file, status)
            if problem is None:
                content = bytearray(status.st_size)
                io.FileIO(descriptor, closefd=False).readinto(content)
        finally:
            os.close(descriptor)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            problem += "; `depinmesh keygen --output FILE` makes one"
    except ValueError:
        problem = "cannot be read: there is a zero character in its name"
    if problem is not None:
        raise _file_error(file, problem)
    return content


def _problem(file: Path, status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if os.name != "nt" and status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        mode = stat.S_IMODE(status.st_mode)
        return f"is open to others (mode {mode:04o}); run: chmod 600 {shlex.quote(str(file))}"
    if status.st_size > _LARGEST_FILE:
        return "is too large to be a key file"
    return None
