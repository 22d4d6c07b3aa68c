"""Long lists in files, and the lines of their mistakes."""

from __future__ import annotations

import json
from time import process_time

import pytest

from depinmesh import RegistryError
from depinmesh.registry._document import read_document
from tests.registries import random_wallets


def test_the_time_for_a_long_list_of_json_does_not_grow_with_its_square() -> None:
    wallets = random_wallets(20_000)
    seconds = {}
    for suffix, text in ((".txt", "\n".join(wallets)), (".json", json.dumps({"wallets": wallets}, indent=1))):
        began = process_time()
        assert len(read_document(text, "fleet", suffix).wallets) == len(wallets)
        seconds[suffix] = process_time() - began
    print(f"20,000 wallets: {seconds}")
    assert seconds[".json"] < 15 * seconds[".txt"]  # twice as much; of the square it was a hundred times


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["{0}",\n "bad",\n "{0}",\n "bad"]', "f:2: 'bad': "),
        ('{{"wallets": ["{0}"],\n "bootstrap_nodes": [\n"{0}@h",\n "bad"]}}', "f:4: 'bad': "),
        ('["{0}",\n "",\n 7]', "f:2: '': "),
        ('["{0}",\n 7]', "f:1: 7 is not text"),
        ('["{0}",\n "\\u00e9"]', "f:2: "),
        ('{{"wallets": [],\n "more": []}}', "f:2: 'more' is unknown"),
    ],
)
def test_the_line_of_a_mistake_in_json(text: str, message: str) -> None:
    (wallet,) = random_wallets(1)
    with pytest.raises(RegistryError) as raised:
        read_document(text.format(wallet), "f", ".json")
    assert str(raised.value).startswith(message)
    assert raised.value.__cause__ is None
