"""Wallets, peer ids, key pairs and key files."""

import copy
import json
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from solders.keypair import Keypair as SoldersKeypair

from depinmesh import IdentityError, Keypair, PeerId, Wallet

# wallet, peer id
VECTORS = [
    ("jgtpoApjta2e97hvuSKzUiSKXsYrCS9yHjyADgeJyBN", "12D3KooWAZ44ZvkXvnqX42d8ZWBfmGoGorvBstWdvt6zYCqYCuuJ"),
    ("FLE6aWnEhSqVeyUHzpkHmaxhPJEJj61foYqkL9z1qJpL", "12D3KooWQ9bGKeMwtM6z4ryidRVdYP3XsdGwkn69m9Cmi98ujFYG"),
    ("Dg99EAH5xgLFSqCo8DSsUbaW6wNdFXWVNnXmqofodoKd", "12D3KooWNVWJyHro9abjriiDkpCDFPfLbGRGHDayLNtoDnphXk3Z"),
    ("PBULEPNctA7APBKpMF1Nwof49Ms3VxaqjQvR2eKpUUb", "12D3KooWACYe5My5onRbaGgkSwzM9jtVYUQW5C34oKmwo1oDiRCX"),
    ("FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF", "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"),
]
SEED = bytes(range(32))
WALLET, PEER = VECTORS[-1]
SECRET = "1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq"
SECRET_BYTES = bytes(SoldersKeypair.from_seed(SEED))

TORSION = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
OTHER_TORSION = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
WEAK = {
    "all zero": "00" * 32,
    "zero with sign": "00" * 31 + "80",
    "one": "01" + "00" * 31,
    "minus one": "ec" + "ff" * 30 + "7f",
    "order 8": TORSION,
    "order 8 with sign": TORSION[:-2] + "85",
    "order 8, other": OTHER_TORSION,
    "order 8, other with sign": OTHER_TORSION[:-2] + "fa",
}
NOT_CANONICAL = {"prime": "ed" + "ff" * 30 + "7f", "prime and three": "f0" + "ff" * 30 + "7f"}
OFF_CURVE = {"two": "02" + "00" * 31}


@pytest.mark.parametrize(("wallet", "peer_id"), VECTORS)
def test_wallet_and_peer_id_are_the_same_key(wallet: str, peer_id: str) -> None:
    """A wallet has one peer id and a peer id one wallet; both have the bytes of the key."""
    assert Wallet(wallet).peer_id == peer_id
    assert PeerId(peer_id).wallet == wallet
    assert type(Wallet(wallet).peer_id) is PeerId
    assert type(PeerId(peer_id).wallet) is Wallet
    assert bytes(Wallet(wallet)) == bytes(PeerId(peer_id))
    assert Wallet(bytes(Wallet(wallet))) == wallet


def test_identities_are_text() -> None:
    """A wallet and a peer id are text, equal to it, and their repr says which of the two they are."""
    wallet = Wallet(WALLET)
    assert wallet == WALLET
    assert {WALLET: 1}[wallet] == 1
    assert json.dumps(wallet) == f'"{WALLET}"'
    assert repr(wallet) == f"Wallet('{WALLET}')"
    assert repr(PeerId(PEER)) == f"PeerId('{PEER}')"
    assert f"{wallet}" == str(wallet) == WALLET
    assert not hasattr(wallet, "__dict__")


def test_identities_are_not_checked_twice() -> None:
    """A wallet made of a wallet is the same object."""
    wallet, peer = Wallet(WALLET), PeerId(PEER)
    assert Wallet(wallet) is wallet
    assert PeerId(peer) is peer


@pytest.mark.parametrize("value", [Wallet(WALLET), PeerId(PEER)])
def test_identities_can_be_copied_and_pickled(value: Wallet | PeerId) -> None:
    """A wallet and a peer id keep their class through copy and pickle."""
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert other == value
        assert type(other) is type(value)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_wallet_of_raw_bytes(make: Callable[[bytes], object]) -> None:
    """A wallet can be made of 32 bytes in any bytes-like object, and of objects that have bytes()."""
    raw = SECRET_BYTES[32:]
    assert Wallet(make(raw)) == WALLET  # type: ignore[arg-type]
    assert Wallet(SoldersKeypair.from_seed(SEED).pubkey()) == WALLET


@pytest.mark.parametrize("raw", [*WEAK.values(), *NOT_CANONICAL.values(), *OFF_CURVE.values()])
def test_weak_keys_are_no_wallets(raw: str) -> None:
    """Keys of small order, in a second encoding, or off the curve are refused."""
    with pytest.raises(IdentityError):
        Wallet(bytes.fromhex(raw))


@pytest.mark.parametrize(
    "value",
    ["", "0", "1" * 32, "l" * 44, WALLET[:-1], WALLET + "1", WALLET + "\n", PEER, SECRET, "1" * 100_000, "\udc80", "é"],
)
def test_other_text_is_no_wallet(value: str) -> None:
    """Text that is not the Base58 of 32 good bytes is refused, and not repeated when it may be a secret."""
    with pytest.raises(IdentityError) as caught:
        Wallet(value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [32, None, 1.5, [0] * 32, {}, b"", b"x" * 31, b"x" * 33, SECRET_BYTES, object()])
def test_other_objects_are_no_wallets(value: object) -> None:
    """An object whose bytes() are not 32 bytes is refused; a number is not taken for a length."""
    with pytest.raises(IdentityError) as caught:
        Wallet(value)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "value",
    [
        "",
        WALLET,
        PEER[:-1],
        PEER + "1",
        PEER + "\udc80",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",  # an RSA key
        "16Uiu2HAmSgqkVZBHTEVH6n4hq9CLXjGfMfgWqbD2CHbZTTmsYkPB",  # a secp256k1 key
        5,
        None,
        b"12D3KooW",
    ],
)
def test_other_values_are_no_peer_ids(value: object) -> None:
    """Peer ids of other keys than Ed25519, and everything else, are refused."""
    with pytest.raises(IdentityError):
        PeerId(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", [SECRET, SECRET_BYTES, bytearray(SECRET_BYTES), SoldersKeypair.from_seed(SEED), Keypair.from_seed(SEED)]
)
def test_keypair_in_all_its_forms(value: str | bytes) -> None:
    """A key pair can be made of Base58, 64 bytes, a solders Keypair and a Keypair."""
    key = Keypair(value)
    assert (key.wallet, key.peer_id, key.to_base58()) == (WALLET, PEER, SECRET)
    assert (type(key.wallet), type(key.peer_id)) == (Wallet, PeerId)


def test_keypair_by_its_constructors() -> None:
    """from_base58 and from_seed give the same key; generate always a new one."""
    assert Keypair.from_base58(SECRET) == Keypair.from_seed(SEED)
    first, second = Keypair.generate(), Keypair.generate()
    assert first != second
    assert Keypair(first.to_base58()) == first
    assert len({first, second, Keypair(first)}) == 2
    assert first != first.wallet


BAD_SECRETS: list[object] = [
    "",
    "0" * 88,
    SECRET[:-1],
    SECRET + "1",
    WALLET,
    SECRET_BYTES[:63],
    SECRET_BYTES + b"x",
    SEED,
    SECRET_BYTES[:32] + bytes(Wallet(VECTORS[0][0])),  # the public half of another key
    SECRET_BYTES[:32] + bytes(32),
    SECRET + "\udc80",
    64,
    None,
    list(SECRET_BYTES),
    object(),
]


@pytest.mark.parametrize("value", BAD_SECRETS)
def test_bad_secrets_are_refused_and_not_shown(value: object) -> None:
    """A secret of another length or alphabet, or with a public half of another seed, is refused without being shown."""
    with pytest.raises(IdentityError) as caught:
        Keypair(value)  # type: ignore[arg-type]
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert SECRET[:20] not in text
    assert SECRET_BYTES.hex()[:20] not in text
    assert repr(SECRET_BYTES)[2:40] not in text


@pytest.mark.parametrize("value", [None, SECRET_BYTES, 5])
def test_base58_is_text(value: object) -> None:
    """from_base58 takes text only."""
    with pytest.raises(IdentityError):
        Keypair.from_base58(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, 32, "x" * 32, SEED[:31], SECRET_BYTES])
def test_a_seed_has_32_bytes(value: object) -> None:
    """from_seed takes 32 bytes only."""
    with pytest.raises(IdentityError):
        Keypair.from_seed(value)  # type: ignore[arg-type]


def test_keypair_never_shows_its_secret() -> None:
    """Neither repr, str, format nor attributes of a key pair have the secret."""
    key = Keypair(SECRET)
    for text in (repr(key), str(key), f"{key}", f"{[key]}", repr(key._secret)):
        assert SECRET[:16] not in text
        assert SECRET_BYTES.hex()[:16] not in text
    assert repr(key) == f"Keypair(wallet='{WALLET}')"
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError):
        bytes(key)  # type: ignore[call-overload]


@pytest.mark.parametrize("spread", [copy.copy, copy.deepcopy, pickle.dumps, lambda key: pickle.dumps([key], 0)])
def test_keypair_is_not_copied_or_pickled(spread: Callable[[Keypair], object]) -> None:
    """Copying and pickling a key pair raises TypeError."""
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        spread(Keypair(SECRET))


def key_file(folder: Path, content: bytes | str, mode: int = 0o600) -> Path:
    """Write a key file."""
    file = folder / "key of a node.json"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


JSON_KEY = json.dumps(list(SECRET_BYTES))


@pytest.mark.parametrize("content", [JSON_KEY, f" {JSON_KEY}\r\n", SECRET, f"{SECRET}\n"])
def test_key_files_are_read(tmp_path: Path, content: str) -> None:
    """A key file has the JSON array of the Solana CLI or Base58 text."""
    file = key_file(tmp_path, content)
    assert Keypair.from_file(file).wallet == WALLET
    assert Keypair.from_file(str(file)).wallet == WALLET


def test_key_file_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde stands for the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    key_file(tmp_path, SECRET)
    assert Keypair.from_file("~/key of a node.json").wallet == WALLET


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o640, 0o440])
def test_private_modes_are_accepted(tmp_path: Path, mode: int) -> None:
    """The owner may do anything with a key file, its group may read it."""
    assert Keypair.from_file(key_file(tmp_path, SECRET, mode)).wallet == WALLET


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o620, 0o644, 0o660, 0o777])
def test_open_modes_are_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    """A key file that others can touch or its group can write is refused, and the error has the command to run."""
    file = key_file(tmp_path, SECRET, mode)
    with pytest.raises(IdentityError) as caught:
        Keypair.from_file(file)
    assert str(caught.value).endswith(f"run: chmod 600 '{file}'")
    assert f"{mode:04o}" in str(caught.value)
    assert caught.value.file == str(file)


@pytest.mark.parametrize(
    "content",
    [
        "",
        " \n",
        SECRET[:-2],
        SECRET + SECRET,
        f"{SECRET} # mine",
        JSON_KEY[:-1],
        json.dumps(list(SECRET_BYTES[:63])),
        json.dumps([*SECRET_BYTES[:63], 256]),
        json.dumps([*SECRET_BYTES[:63], -1]),
        json.dumps([*SECRET_BYTES[:63], 1.0]),
        json.dumps([*SECRET_BYTES[:63], True]),
        json.dumps([*SECRET_BYTES[:63], None]),
        json.dumps({"key": list(SECRET_BYTES)}),
        "[" * 4000,
        "[" + "9" * 4090 + "]",
        b"\xff" * 64,
        SECRET_BYTES,
        json.dumps([*SECRET_BYTES[:32], *bytes(32)]),
        JSON_KEY + " " * 5000,
    ],
)
def test_damaged_key_files_are_named_and_not_shown(tmp_path: Path, content: str | bytes) -> None:
    """The error for a damaged key file names the file and never its content."""
    file = key_file(tmp_path, content)
    with pytest.raises(IdentityError) as caught:
        Keypair.from_file(file)
    error = caught.value
    assert str(file) in str(error)
    assert error.file == str(file)
    text = "".join(traceback.format_exception(error))
    for secret in (SECRET[:20], SECRET_BYTES.hex()[:20], JSON_KEY[1:30]):
        assert secret not in text
    assert error.__context__ is None  # it could hold what was read


def test_missing_key_file_is_an_error(tmp_path: Path) -> None:
    """A missing key file is an error that names it; no key is made in its place."""
    file = tmp_path / "missing"
    with pytest.raises(IdentityError, match="cannot be read: No such file") as caught:
        Keypair.from_file(file)
    assert str(file) in str(caught.value)
    assert not file.exists()


def test_a_key_file_in_no_home_folder_is_an_error() -> None:
    """A home folder that there is not is an error of the key file, too."""
    with pytest.raises(IdentityError, match="no such home folder") as caught:
        Keypair.from_file("~nobody-has-this-name/key")
    assert caught.value.file == "~nobody-has-this-name/key"


def test_only_files_are_key_files(tmp_path: Path) -> None:
    """A folder, a named pipe and an impossible name are refused at once."""
    with pytest.raises(IdentityError, match=r"not a regular file|cannot be read"):
        Keypair.from_file(tmp_path)
    with pytest.raises(IdentityError, match="zero character"):
        Keypair.from_file("a\0b")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe", 0o600)
        with pytest.raises(IdentityError, match="not a regular file"):
            Keypair.from_file(tmp_path / "pipe")


def test_a_secret_for_a_file_name_is_not_shown() -> None:
    """A secret that was given where its file belongs does not get into the error."""
    with pytest.raises(IdentityError) as caught:
        Keypair.from_file(SECRET)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.file == "(hidden)"
