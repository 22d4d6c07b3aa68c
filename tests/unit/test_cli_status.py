"""What `depinmesh status` makes of what a node says."""

from __future__ import annotations

from depinmesh.cli.views.status import _bootstrap


def test_of_bootstrap_nodes_those_are_named_that_could_not_be_reached() -> None:
    assert list(_bootstrap([])) == []
    good = {"wallet": "good", "is_connected": True, "error": None}
    untried = {"wallet": "untried", "is_connected": False, "error": None}
    bad = [{"wallet": f"bad {n}", "is_connected": False, "error": "nobody answers"} for n in range(7)]
    assert list(_bootstrap([good, untried, bad[0]])) == [
        ("bootstrap nodes", "1 of 3 connected"),
        ("  bad 0", "nobody answers"),
    ]
    lines = list(_bootstrap([*bad, good]))
    assert len(lines) == 7
    assert lines[-1] == ("  ...", "and 2 more, see --json")
