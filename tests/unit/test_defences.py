"""Each defence that a build can lack has tests that would notice."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.security.defences import HERE, MUST_FAIL

ROOT = Path(__file__).parents[2]


def test_each_defence_that_can_be_left_out_has_tests_that_must_fail() -> None:
    core = tomllib.loads((ROOT / "rust/core/Cargo.toml").read_text())
    assert set(core["features"]) == {f"without-{part}" for name in MUST_FAIL for part in name.split("+")}
    assert all(MUST_FAIL.values())


def test_the_tests_that_must_fail_exist() -> None:
    for tests in MUST_FAIL.values():
        for test in tests:
            file, _, name = test.partition("::")
            assert re.search(rf"^(async )?def {name.partition('[')[0]}\(", (HERE / file).read_text(), re.MULTILINE), (
                test
            )


def test_no_crate_of_ours_builds_without_a_defence() -> None:
    manifests = [
        path for path in ROOT.glob("**/Cargo.toml") if "target" not in path.parts and ".venv" not in path.parts
    ]
    assert len(manifests) > 3
    for path in manifests:
        if path != ROOT / "rust/core/Cargo.toml":
            assert "without-" not in path.read_text(), path
    assert "default" not in tomllib.loads((ROOT / "rust/core/Cargo.toml").read_text())["features"]
