"""See that the tests of each defence fail without it: `python -m tests.security.defences FOLDER [DEFENCE ...]`.

FOLDER has a copy of the package for each defence, named after it, whose core lacks that defence. A test that passes
there proves nothing about the defence, and this fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).parents[1]
ROOT = HERE.parent

_STRANGER = "security/test_gate_attack.py::test_a_stranger_is_served_no_stream_and_no_event_passes_either_way"
_BEHIND = (
    "security/test_gate_attack.py::test_a_stranger_behind_an_address_without_identity_is_refused_after_the_handshake"
)
_COST = (
    "security/test_stranger_cost.py"
    "::test_strangers_cost_one_registry_call_an_interval_one_event_and_one_line_a_second[quic-1000-100]"
)
_ONE = (
    "integration/test_one_connection.py"
    "::test_two_nodes_that_dial_each_other_at_once_keep_one_connection_and_lose_nothing"
)
_FORWARDING, _WEAK = "security/test_forwarding.py", "security/test_weak_keys.py"
_UNSIGNED = "security/test_signatures.py::test_an_unsigned_event_is_not_delivered_that_names"

MUST_FAIL = {
    "author-check": (
        "security/test_forged_authors.py::test_an_author_who_is_on_the_list_of_another_database_only_is_not_delivered",
        f"{_FORWARDING}::test_an_author_unknown_to_a_node_is_not_heard_there_and_who_passed_it_on_is_not_to_blame",
    ),
    # Each of the two keeps strangers out by itself. Only the first asks the registry about one whom it does not know.
    "gate-upgrade": (_COST,),
    "guard": (f"{_ONE}[quic]", f"{_ONE}[tcp]"),
    "gate-upgrade+guard": tuple(
        f"{test}[{transport}]" for test in (_STRANGER, _BEHIND) for transport in ("quic", "tcp-noise", "tcp-tls")
    ),
    "limits": (
        "security/test_silent.py::test_an_address_that_uses_up_its_limit_keeps_out_nobody_from_elsewhere",
        "security/test_places.py::test_r4_an_address_has_so_many_connections_and_one_that_ends_makes_room",
    ),
    "strict-signing": (f"{_UNSIGNED}[itself]", f"{_UNSIGNED}[another who is listed]"),
    "weak-key-check": (
        f"{_WEAK}::test_weak_keys_on_a_list_are_dropped_and_the_others_count",
        f"{_WEAK}::test_a_weak_key_is_no_wallet",
        f"{_WEAK}::test_nobody_gets_in_with_a_forged_handshake_even_when_the_list_names_the_weak_keys",
    ),
}
"""The tests of each defence, which have to fail in a build without it (`+`: without both), and pass in any other."""


def outcomes(package: Path, tests: tuple[str, ...]) -> dict[str, str]:
    """Run the tests with the package of a folder; return what each came to."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", f"--junitxml={report}"]
        run = subprocess.run(
            [*command, *(str(HERE / test) for test in tests)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            sys.exit(run.stdout + run.stderr)
        cases = ET.parse(report).getroot().iter("testcase")
        return {case.attrib["name"]: _outcome(case) for case in cases}


def _outcome(case: ET.Element) -> str:
    parts = {part.tag for part in case}
    return next((word for word in ("error", "skipped", "failure") if word in parts), "passed")


def lacking(package: Path) -> str:
    """Return what the core of a package says that it lacks."""
    code = "from depinmesh import _core; print(_core.versions().get('without', ''))"
    environment = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.check_output([sys.executable, "-c", code], env=environment, cwd=package, text=True).strip()


def main() -> int:
    """Try one after the other; return how many tests there are that pass without their defence."""
    folder, *names = sys.argv[1:]
    useless = 0
    for name in names or MUST_FAIL:
        package = Path(folder) / name
        assert lacking(package) == name.replace("+", ", "), f"{package} lacks {lacking(package)!r}"
        found = outcomes(package, MUST_FAIL[name])
        assert len(found) == len(MUST_FAIL[name]), found
        for test, outcome in found.items():
            useless += outcome != "failure"
            print(f"without {name}: {test}: {'fails, as it must' if outcome == 'failure' else outcome}", flush=True)
    return useless


if __name__ == "__main__":
    sys.exit(min(main(), 1))
