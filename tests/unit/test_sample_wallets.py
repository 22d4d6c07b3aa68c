"""The wallets that people copy from files and documents: nobody has their keys."""

from __future__ import annotations

import re
from pathlib import Path

from depinmesh import Keypair, Wallet

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "docs" / "wire.md"
FOLDERS = ("deploy", "docs", "examples")


def test_nobody_is_listed_whose_key_is_known() -> None:
    """Whoever starts a node from a sample lets in who stands there: not the test vectors, nor those of plain seeds."""
    vectors = re.findall(r"^\| `(\w{32,44})`", VECTORS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(vectors) == 3  # two of them are those of the Go library's tests
    wallets = [*map(Wallet, vectors), *(Keypair.from_seed(bytes([number]) * 32).wallet for number in range(256))]
    known = {name for wallet in wallets for name in (wallet, wallet.peer_id)}
    files = [ROOT / "README.md", *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*"))]
    samples = 0
    for file in files:
        if not file.is_file() or file.suffix == ".pyc" or file == VECTORS:
            continue
        names = set(re.findall(r"\b\w{32,52}\b", file.read_text(encoding="utf-8")))
        assert not names & known, file
        samples += len(names)
    assert samples, "there are some"
