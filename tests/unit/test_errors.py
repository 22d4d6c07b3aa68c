"""The errors of depinmesh."""

import builtins
import copy
import inspect
import pickle
import re

import pytest

from depinmesh import _core, errors
from depinmesh.errors import ConfigError, ConfigProblem, MeshError, from_core, shown

CLASSES = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, MeshError)]
SECRET = "1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq"


def drawn_tree() -> dict[str, tuple[str, str | None]]:
    """Read the tree in the module docstring: class -> (base, second base)."""
    tree: dict[str, tuple[str, str | None]] = {}
    above: list[str] = []
    for indent, name, second in re.findall(r"^( {4,})(\w+Error)(?: \((\w+)\))?$", errors.__doc__ or "", re.MULTILINE):
        level = len(indent) // 4 - 1
        del above[level:]
        tree[name] = (above[-1] if above else "Exception", second or None)
        above.append(name)
    return tree


def test_tree_of_the_docstring_is_the_real_one() -> None:
    """The tree in the module docstring names every class with its real bases."""
    real = {}
    for cls in CLASSES:
        base, *second = (found.__name__ for found in cls.__bases__)
        real[cls.__name__] = (base, second[0] if second else None)
    assert drawn_tree() == real


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_a_mesh_error(cls: type[MeshError]) -> None:
    """Every error has the one base, a documented meaning, and its sentence as text."""
    assert issubclass(cls, MeshError)
    assert cls.__doc__
    assert str(cls("what happened")) == "what happened"


@pytest.mark.parametrize(
    ("name", "builtin"),
    [(name, second) for name, (_, second) in drawn_tree().items() if second],
)
def test_second_bases_are_builtins(name: str, builtin: str) -> None:
    """An error that is also a builtin one can be caught as that."""
    with pytest.raises(getattr(builtins, builtin)):
        raise getattr(errors, name)("what happened")


def test_every_kind_of_the_core_has_its_class() -> None:
    """from_core knows each kind of the core, and gives each a class of its own by its name."""
    made = {kind: type(from_core(kind, "text", {})) for kind in _core.ERROR_KINDS}
    assert set(made) == set(errors._CLASSES)
    assert len(set(made.values())) == len(made)
    for kind, cls in made.items():
        assert cls.__name__ == ("MeshTimeoutError" if kind == "Timeout" else f"{kind}Error")


def test_fields_of_the_core_become_attributes() -> None:
    """A field that the class has becomes an attribute; without it the attribute is None."""
    error = from_core("MessageTooLarge", "too large", {"size": 7, "limit": 5})
    assert isinstance(error, errors.MessageTooLargeError)
    assert (error.size, error.limit) == (7, 5)
    bare = from_core("NotAuthorized", "refused", {})
    assert isinstance(bare, errors.NotAuthorizedError)
    assert (bare.peer_id, bare.wallet, bare.reason) == (None, None, None)


def test_unknown_fields_of_the_core_become_notes() -> None:
    """A field that the class does not have is kept as a note."""
    error = from_core("Closed", "closed", {"since": 3})
    assert error.__notes__ == ["since: 3"]


def test_unknown_kind_is_a_core_error() -> None:
    """A kind that has no class does not lose the error."""
    error = from_core("Brand", "new", {})
    assert type(error) is errors.CoreError
    assert str(error) == "new"


def test_config_error_of_the_core_has_a_problem() -> None:
    """A configuration error of the core lists its problem like one of Python."""
    error = from_core("Config", "is open already", {"path": "database", "value": "a"})
    assert isinstance(error, ConfigError)
    assert error.errors == [ConfigProblem("database", "'a'", "is open already", None)]


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_can_be_copied_and_pickled(cls: type[MeshError]) -> None:
    """An error keeps its class, sentence and fields through copy and pickle, as process pools need it."""
    error = cls("what happened")
    for name in vars(error):
        setattr(error, name, ["kept"])
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is cls
        assert (str(other), vars(other)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (ConfigProblem("a.b", "1", "is wrong", "do that"), "a.b = 1: is wrong (do that)"),
        (ConfigProblem("a.b", None, "is wrong", None), "a.b: is wrong"),
        (ConfigProblem("", "'x'", "is wrong", None), "'x': is wrong"),
        (ConfigProblem("", None, "is wrong", None), "is wrong"),
    ],
)
def test_problem_reads_as_one_line(problem: ConfigProblem, line: str) -> None:
    """A problem is a line of its path, value, reason and hint."""
    assert str(problem) == line
    assert str(ConfigError.of([problem])) == line


def test_several_problems_are_listed() -> None:
    """The message of several problems has all of them."""
    problems = [ConfigProblem("a", None, "is wrong", None), ConfigProblem("b", None, "too", None)]
    error = ConfigError.of(iter(problems))
    assert str(error) == "2 fields are wrong:\n  a: is wrong\n  b: too"
    assert error.errors == problems


@pytest.mark.parametrize(("prefix", "path"), [("x", "x.host"), ("x[1]", "x[1].host"), ("", "host")])
def test_problem_seen_from_above(prefix: str, path: str) -> None:
    """Paths are joined with dots, indices without."""
    assert ConfigProblem("host", None, "", None).under(prefix).path == path
    assert ConfigProblem("[1]", None, "", None).under("x").path == "x[1]"
    assert ConfigProblem("", None, "", None).under("x").path == "x"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("short", "'short'"),
        (5, "5"),
        (1.5, "1.5"),
        (None, "None"),
        (True, "True"),
        pytest.param(1 << 20_000, "<int>", id="a number too long to print"),
        (b"bytes", "<bytes>"),
        (object(), "<object>"),
        ("x y " * 100, repr("x y " * 30 + "...")),
        (SECRET, "'(hidden)'"),
        (f"key={SECRET}\n", "'key=(hidden)\\n'"),
        ("ab" * 32, "'(hidden)'"),
        (str(list(range(64))), "'[(hidden)]'"),
    ],
)
def test_values_are_shown_short_and_without_secrets(value: object, text: str) -> None:
    """A value in an error is short and has no secret; foreign objects are shown by their type."""
    assert shown(value) == text
