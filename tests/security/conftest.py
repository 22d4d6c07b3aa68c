"""How many malformed inputs a run has sent, by layer: the sum is a figure of docs/security.md."""

from __future__ import annotations

from collections import Counter

import pytest

SENT = pytest.StashKey[Counter[str]]()


@pytest.fixture
def malformed(pytestconfig: pytest.Config) -> Counter[str]:
    """Count what a test has sent to each layer."""
    return pytestconfig.stash.setdefault(SENT, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say it at the end."""
    if sent := config.stash.get(SENT, None):
        parts = ", ".join(f"{layer} {number:,}" for layer, number in sorted(sent.items()))
        terminalreporter.write_line(f"malformed inputs: {sent.total():,} ({parts})")
