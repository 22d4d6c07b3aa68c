"""The package as the type checkers of its users see it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import depinmesh

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = Path(depinmesh.__file__).parent
USER, WRONG = (Path(__file__).with_name(name) for name in ("user.py", "wrong.py"))


def mypy(file: Path, cache: Path) -> str:
    command = ["mypy", "--strict", "--config-file=", "--cache-dir", str(cache), "--no-error-summary", str(file)]
    return output(command, {"MYPYPATH": str(PACKAGE.parent)})


def pyright(file: Path, cache: Path) -> str:
    project = cache / "pyrightconfig.json"
    shutil.copy(file, cache)  # it looks at what lies below its configuration only
    settings = {"include": [file.name], "extraPaths": [str(PACKAGE.parent)], "typeCheckingMode": "strict"}
    # What happens to a value that is not used is for linters to judge.
    project.write_text(json.dumps({**settings, "reportUnusedExpression": False, "reportUnusedCoroutine": False}))
    return output(["pyright", "--project", str(project), "--pythonpath", sys.executable], {})


def output(command: list[str], environment: dict[str, str]) -> str:
    run = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
        env={**os.environ, **environment},
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr  # anything else is a failure of the checker
    return run.stdout


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
def test_a_program_of_a_user_has_no_error(checker: Callable[[Path, Path], str], tmp_path: Path) -> None:
    told = checker(USER, tmp_path)
    assert "error:" not in told, told


@pytest.mark.timeout(180)
@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
def test_every_mistake_is_found(checker: Callable[[Path, Path], str], tmp_path: Path) -> None:
    told = checker(WRONG, tmp_path)
    found = {int(line) for line in re.findall(r"wrong\.py:(\d+):.*error", told)}
    wrong = {number for number, line in enumerate(WRONG.read_text().splitlines(), 1) if line.endswith("# wrong")}
    assert found == wrong, told
