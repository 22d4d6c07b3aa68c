"""Where the bytes of a key stand in the memory of another process."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group of Ed25519."""
PART = 16 << 20


def forms(seed: bytes) -> dict[str, bytes]:
    """Return the seed, and what signing makes of it (RFC 8032, 5.1.5): each of these lets its reader sign."""
    digest = hashlib.sha512(seed).digest()
    scalar = bytearray(digest[:32])
    scalar[0] &= 0b1111_1000
    scalar[31] = scalar[31] & 0b0111_1111 | 0b0100_0000
    reduced = int.from_bytes(scalar, "little") % ORDER
    return {"seed": seed, "hash": digest[:32], "scalar": bytes(scalar), "reduced": reduced.to_bytes(32, "little")}


def places(pid: int, wanted: dict[str, bytes]) -> list[str]:
    """Return what stands where in the memory of a child process. It should stand still meanwhile."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end, name in _regions(pid):
            for begin in range(start, end, PART):
                memory.seek(begin)
                try:
                    data = memory.read(min(PART + 31, end - begin))
                except OSError:  # a region that nobody can read, such as that of the kernel
                    break
                found += [
                    f"{form} in {name or 'anonymous'}" for form, one in wanted.items() for _ in range(data.count(one))
                ]
    return found


def _regions(pid: int) -> Iterator[tuple[int, int, str]]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, mode, _, _, _, *name = line.split(maxsplit=5)
        if mode.startswith("r"):
            start, end = (int(address, 16) for address in addresses.split("-"))
            yield start, end, "".join(name)
