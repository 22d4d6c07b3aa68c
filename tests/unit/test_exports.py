"""What `import depinmesh` gives, and what it costs."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import depinmesh
from depinmesh import errors, events
from depinmesh.errors import MeshError
from depinmesh.events import NodeEvent

PUBLIC = [name for name in depinmesh.__all__ if name != "__version__"]


def run(code: str) -> str:
    """Run code in an interpreter of its own and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_names_are_sorted() -> None:
    """__all__ is sorted and has each name once."""
    assert depinmesh.__all__ == sorted(set(depinmesh.__all__))


def test_names_for_type_checkers_are_the_same() -> None:
    """What type checkers see imported is what is exported, from the same modules."""
    tree = ast.parse(Path(str(depinmesh.__file__)).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {name: f"depinmesh.{module}" for name, module in depinmesh._MODULE_OF.items()}
    assert sorted(seen) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there_and_documented(name: str) -> None:
    """Every public name can be imported, is documented, and is that of its module."""
    value = getattr(depinmesh, name)
    assert value is getattr(import_module(f"depinmesh.{depinmesh._MODULE_OF[name]}"), name)
    assert value.__doc__


@pytest.mark.parametrize(("module", "base"), [(errors, MeshError), (events, NodeEvent)])
def test_all_errors_and_events_are_exported(module: object, base: type) -> None:
    """Every error and every node event is public."""
    found = {name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)}
    assert found - {"NodeEvent"} <= set(PUBLIC)


def test_unknown_names_are_attribute_errors() -> None:
    """A name that is not public is an AttributeError like in every module."""
    with pytest.raises(AttributeError, match="module 'depinmesh' has no attribute 'Nothing'"):
        _ = depinmesh.Nothing  # type: ignore[attr-defined]


def test_dir_has_the_names() -> None:
    """dir() has every public name before it is used."""
    assert set(PUBLIC) <= set(dir(depinmesh))
    assert run("import depinmesh; print(set(depinmesh.__all__) <= set(dir(depinmesh)))") == "True"


def test_star_import_works() -> None:
    """A star import gives every public name."""
    assert run("from depinmesh import *; print(Wallet.__name__, __version__ > '')") == "Wallet True"


def test_import_is_cheap() -> None:
    """import depinmesh loads neither pydantic, nor asyncio, nor the core, and takes less than 80 ms."""
    code = (
        "import sys, time; start = time.process_time(); import depinmesh; took = time.process_time() - start\n"
        "print([m for m in ('pydantic', 'asyncio', 'depinmesh._core') if m in sys.modules], took < 0.08)"
    )
    assert run(code) == "[] True"


def test_build_info_names_the_versions() -> None:
    """build_info has what a bug report needs, and its version is __version__."""
    info = depinmesh.build_info()
    assert info.keys() >= {"depinmesh", "libp2p", "python", "implementation", "platform", "pydantic"}
    assert info["depinmesh"] == depinmesh.__version__
