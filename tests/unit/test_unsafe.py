"""SECURITY.md lists all unsafe code of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("mailbox", "timer", "core", "binding")


def rust_files() -> list[Path]:
    """Return the Rust files of the repository, or of the folder where that is not one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git, or not in a clone")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def code_of(file: Path) -> str:
    """Return the file without its comments and texts."""
    return re.sub(r'//[^\n]*|"(?:\\.|[^"\\])*"', "", file.read_text(encoding="utf-8"))


def test_the_list_of_unsafe_code_is_complete() -> None:
    section = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("## Unsafe code")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))
    files = {str(file.relative_to(ROOT)): code_of(file) for file in rust_files()}
    assert len(files) > 100
    assert {name for name, code in files.items() if re.search(r"\bunsafe\b", code)} == listed
    for name in listed:
        blocks = len(re.findall(r"\bunsafe\b", files[name]))
        assert (ROOT / name).read_text(encoding="utf-8").count("// SAFETY: ") == blocks


@pytest.mark.parametrize("crate", SHIPPED)
def test_what_ships_forbids_it(crate: str) -> None:
    assert "#![forbid(unsafe_code)]" in (ROOT / "rust" / crate / "src" / "lib.rs").read_text(encoding="utf-8")
