"""Every input of the corpus once more, so that what was found stays mended on machines without a fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.python.targets import TARGETS

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
FEW = 8


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_promise(name: str) -> None:
    inputs = [path.read_bytes() for path in (CORPUS / name).iterdir()]
    assert len(inputs) >= FEW
    for content in inputs:
        TARGETS[name](content)
        TARGETS[name](content[: len(content) // 2])


def test_every_part_of_the_corpus_belongs_to_a_target() -> None:
    in_rust = {path.stem for path in (CORPUS.parent / "targets").glob("*.rs")}
    assert {path.name for path in CORPUS.iterdir()} == in_rust | set(TARGETS)
