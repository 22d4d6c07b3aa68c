#!/usr/bin/env python3
"""Tries the wheel and the sdist of a folder as a user meets them: `.ci/try_wheel.py dist`.

The wheel goes into an environment of its own, with no Rust on the path. It fails when something is missing or broken,
and prints sizes and times for the reader.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 7
MUST_IMPORT, MUST_HELP = 0.080, 0.250
"""Seconds that `import depinmesh` and `depinmesh --help` may take."""
SLACK = 3
"""Other programs run on the machine too: only what is slower by far is a fault."""


def main(folder: Path) -> None:
    """Try what is there."""
    folder = folder.resolve()  # commands run in a folder of their own
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    _check_wheel(wheel)
    _check_sdist(sdist)
    with tempfile.TemporaryDirectory(prefix="depinmesh-wheel-") as home:
        _try(wheel, Path(home))


def _check_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    assert "cp311-abi3" in wheel.name, "the wheel is for one version of Python alone"
    boms = [name for name in names if ".dist-info/sboms/" in name]
    assert boms, "the wheel does not list what it is made of"
    for needed in ("depinmesh/py.typed", "depinmesh/_core.pyi"):
        assert needed in names, f"{needed} is missing"
    for word in ("LICENSE-MIT", "LICENSE-APACHE"):
        assert any(name.endswith(word) for name in names), f"{word} is missing"
    unwanted = [name for name in names if name.startswith("tests/") or name.endswith((".rs", ".key"))]
    assert not unwanted, unwanted
    print(f"  {len(names)} files, bill of materials: {', '.join(boms)}")


def _check_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    print(f"{sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB, {len(names)} files")
    for needed in (
        "Cargo.lock",
        "pyproject.toml",
        "PKG-INFO",
        "python/depinmesh/__init__.py",
        "rust/core/src/lib.rs",
        "rust/timer/src/lib.rs",
        ".cargo/config.toml",
    ):
        assert needed in names, f"{needed} is missing in the sdist"
    assert not any(name.endswith((".so", ".key")) for name in names), "something built, or a key, is in the sdist"


def _try(wheel: Path, home: Path) -> None:
    venv.create(home, with_pip=True)
    bin_dir = home / ("Scripts" if sys.platform == "win32" else "bin")
    python, command = bin_dir / "python", bin_dir / "depinmesh"
    keep = {name: os.environ[name] for name in ("HOME", "SYSTEMROOT", "PIP_INDEX_URL") if name in os.environ}
    environment = {**keep, "PATH": os.pathsep.join([str(bin_dir), "/usr/bin", "/bin"])}

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(  # noqa: S603  # our own commands
            [str(argument) for argument in arguments],
            cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, arguments))} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", wheel)
    run(python, "-m", "pip", "check")
    where = run(python, "-c", "import depinmesh; print(depinmesh.__file__)").strip()
    assert Path(where).is_relative_to(home), where
    print(run(command, "version"))
    lacks = run(python, "-c", "from depinmesh import _core; print(_core.versions().get('without', ''))").strip()
    assert not lacks, f"the wheel was built without a defence: {lacks}"
    bare = _median(lambda: run(python, "-c", "pass"))
    imported = _median(lambda: run(python, "-c", "import depinmesh")) - bare
    helped = _median(lambda: run(command, "--help"))
    print(f"import depinmesh: {imported * 1e3:.0f} ms above the interpreter's {bare * 1e3:.0f} ms (must: 80 ms)")
    print(f"depinmesh --help: {helped * 1e3:.0f} ms (must: 250 ms)")
    assert imported < SLACK * MUST_IMPORT, "the import is slow"
    assert helped < SLACK * MUST_HELP, "--help is slow"
    run(command, "demo", "--seconds", "60")
    print("depinmesh demo: works")
    run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", f"{wheel}[all]")
    run(python, "-m", "pip", "check")
    run(python, "-c", "import depinmesh.ops, depinmesh.metrics")
    print("with [all]: works")


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
