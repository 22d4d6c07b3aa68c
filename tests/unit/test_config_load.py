"""Configurations from files, the environment and keywords."""

from __future__ import annotations

import itertools
import os
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import BootstrapNode, Config, ConfigError, Keypair
from depinmesh._loading.environment import variable_of
from depinmesh._loading.layers import Given
from depinmesh._loading.load import load
from depinmesh._validation import Options
from depinmesh.registry import FileRegistry, StaticRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from depinmesh.errors import ConfigProblem

KEY, OTHER = Keypair.from_seed(bytes(range(32))), Keypair.from_seed(bytes(32))
WALLETS = [KEY.wallet, OTHER.wallet]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("DEPINMESH_"):
            monkeypatch.delenv(name)


def key_file(folder: Path, key: Keypair = KEY, name: str = "node.key") -> Path:
    file = folder / name
    file.write_text(key.to_base58())
    file.chmod(0o600)
    return file


def yaml(folder: Path, text: str) -> Path:
    file = folder / "node.yaml"
    file.write_text(textwrap.dedent(text))
    file.chmod(0o600)
    return file


def complete(**fields: Any) -> dict[str, Any]:
    return {"private_key": KEY, "authorized_wallets": WALLETS, **fields}


def refused(*arguments: Any, **fields: Any) -> list[ConfigProblem]:
    with pytest.raises(ConfigError) as caught:
        Config.load(*arguments, **fields)
    return caught.value.errors


# Where a value can come from, lowest first.
LEVELS = ("default", "yaml", "environment", "keyword", "command line")


def from_levels(folder: Path, monkeypatch: pytest.MonkeyPatch, path: str, texts: dict[str, str]) -> Config:
    """Load a configuration with one option given on some levels."""
    group, _, name = path.rpartition(".")
    file = None
    if "yaml" in texts:
        line = f"{name}: {texts['yaml']}"
        file = yaml(folder, f"{group}:\n  {line}\n" if group else line)
    if "environment" in texts:
        monkeypatch.setenv(variable_of(path), texts["environment"])
    fields: dict[str, Any] = {}
    if "keyword" in texts:
        fields = {group: {name: texts["keyword"]}} if group else {name: texts["keyword"]}
    options = {}
    if "command line" in texts:
        options = {tuple(path.split(".")): Given(texts["command line"], "--set")}
    base = {name: value for name, value in complete().items() if name != path.partition(".")[0]}
    if path == "key_file":
        del base["private_key"]
    return load(file, fields={**base, **fields}, options=options).config


def at(config: Config, path: str) -> object:
    value: object = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("given", [set(c) for n in range(5) for c in itertools.combinations(LEVELS[1:], n)])
@pytest.mark.parametrize("path", ["gate.timeout", "database"])
def test_the_highest_level_wins(given: set[str], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command line over keywords over environment over YAML over defaults, each present or absent."""
    values = {level: str(number) for number, level in enumerate(LEVELS)}
    texts = {level: values[level] if path == "gate.timeout" else f"n{values[level]}" for level in given}
    made = from_levels(tmp_path, monkeypatch, path, texts)
    top = max(given, key=LEVELS.index, default="default")
    if path == "gate.timeout":
        assert made.gate.timeout == (10 if top == "default" else float(texts[top]))
    else:
        assert made.database == ("depin-network" if top == "default" else texts[top])


VALUES: dict[str, tuple[str, object]] = {
    "database": ("rooms", "rooms"),
    "authorized_wallets": (f"{KEY.wallet}, {OTHER.wallet}", tuple(WALLETS)),
    "databases": ("load, rooms", {"load": None, "rooms": None}),
    "logger": ("logging:root", __import__("logging").root),
    "listen.quic_port": ("none", None),
    "listen.tcp_port": ("5002", 5002),
    "listen.hosts": ("127.0.0.1, ::1", ("127.0.0.1", "::1")),
    "listen.announce": ("/ip4/192.0.2.1/tcp/4002", ("/ip4/192.0.2.1/tcp/4002",)),
    "nat.relays": (f"{KEY.wallet}@192.0.2.1", (BootstrapNode.parse(f"{KEY.wallet}@192.0.2.1"),)),
    "gate.max_stale": ("1h", 3600.0),
    "gate.revocation": ("keep", "keep"),
    "bootstrap.wait": ("ready", "ready"),
    "pubsub.max_message_size": ("64KiB", 65_536),
    "pubsub.queue_bytes": ("16MiB", 2**24),
    "pubsub.overflow": ("drop_newest", "drop_newest"),
}
"""A text and its value, for options that have no usual one."""


def options() -> list[str]:
    found = []
    for name, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, Options):
            found += [f"{name}.{inner}" for inner in model.model_fields]
        else:
            found.append(name)
    return found


def text_for(path: str, folder: Path) -> tuple[str, object]:
    """Return a text for an option, and the value that it means."""
    if path == "private_key":
        return OTHER.to_base58(), OTHER
    if path == "key_file":
        file = key_file(folder)
        return str(file), file
    if path == "bootstrap_nodes":
        config = Config(**complete(bootstrap_nodes=[f"{OTHER.wallet}@a:1:2"]))
        return f"{OTHER.wallet}@a:1:2", config.bootstrap_nodes
    if path in VALUES:
        return VALUES[path]
    return text_for_default(at(Config(**complete()), path), path)


def text_for_default(default: object, path: str) -> tuple[str, object]:
    """Return a text that means another value than the default."""
    if isinstance(default, bool):
        return ("no", False) if default else ("yes", True)
    if isinstance(default, float):
        return f"{default * 1000 + 1000:g} ms", default + 1
    if isinstance(default, int):
        return str(default + 1), default + 1
    pytest.fail(f"say in VALUES what can be given for {path}")


@pytest.mark.parametrize("level", LEVELS[1:])
@pytest.mark.parametrize("path", options())
def test_every_option_from_every_level(path: str, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option can be given, as text, in a file, in the environment, as keyword and on the command line."""
    text, value = text_for(path, tmp_path)
    made = from_levels(tmp_path, monkeypatch, path, {level: f"'{text}'" if level == "yaml" else text})
    assert at(made, path) == value


def test_groups_are_merged_field_by_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = yaml(tmp_path, "listen: {quic_port: 1, tcp_port: 2, hosts: [127.0.0.1]}\ngate:\npubsub: {}\n")
    monkeypatch.setenv("DEPINMESH_LISTEN__TCP_PORT", "3")
    listen = Config.load(file, **complete(listen={"hosts": "::1"})).listen
    assert (listen.quic_port, listen.tcp_port, listen.hosts) == (1, 3, ("::1",))


def test_the_environment_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPINMESH_DATABASE", "other")
    monkeypatch.setenv("DEPINMESH_NOT_AN_OPTION", "1")
    assert Config.load(env=False, **complete()).database == "depin-network"


@pytest.mark.parametrize(("low", "high"), [*itertools.product(["private_key", "key_file"], repeat=2)])
def test_of_two_keys_the_higher_one_counts(
    low: str, high: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text(field: str, key: Keypair) -> str:
        return key.to_base58() if field == "private_key" else str(key_file(tmp_path, key, f"{key.wallet}.key"))

    file = yaml(tmp_path, f"{low}: {text(low, KEY)}")
    monkeypatch.setenv(f"DEPINMESH_{high.upper()}", text(high, OTHER))
    made = Config.load(file, authorized_wallets=WALLETS)
    assert made.private_key == OTHER
    assert (made.key_file is not None) == (high == "key_file")


def test_nothing_in_the_place_of_a_key_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPINMESH_KEY_FILE", "")
    file = yaml(tmp_path, f"key_file: {key_file(tmp_path)}")
    assert Config.load(file, authorized_wallets=WALLETS, private_key=None).private_key == KEY


def test_two_keys_in_one_layer_are_refused(tmp_path: Path) -> None:
    file = yaml(tmp_path, f"key_file: a\nprivate_key: {KEY.to_base58()}\nauthorized_wallets: []")
    (problem,) = refused(file)
    assert (problem.path, problem.source) == ("private_key", f"{file} line 2")


def test_paths_in_a_file_start_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    key_file(tmp_path)
    file = yaml(tmp_path, "key_file: node.key\nauthorized_wallets: []")
    assert Config.load(file).key_file == tmp_path / "node.key"
    key_file(tmp_path / "elsewhere", OTHER, "here.key")
    monkeypatch.setenv("DEPINMESH_KEY_FILE", "here.key")
    assert Config.load(file).private_key == OTHER


def test_all_problems_with_who_gave_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wrong field of every layer is in one error, with its line, variable or argument."""
    file = yaml(
        tmp_path,
        """\
        authorized_wallets: []
        databse: rooms
        gate:
          # a comment
          tmeout: 5s
          min_interval: soon
        listen:
          hosts:
            - 127.0.0.1
            - localhost
        """,
    )
    monkeypatch.setenv("DEPINMESH_LISTEN__QUIC_PORT", "99999")
    monkeypatch.setenv("DEPINMESH_PUBSUB__QUEUE_SIZE", "1.5")
    found = {problem.path: problem for problem in refused(file, private_key=KEY, colour="blue")}
    assert {path: problem.source for path, problem in found.items()} == {
        "databse": f"{file} line 2",
        "gate.tmeout": f"{file} line 5",
        "gate.min_interval": f"{file} line 6",
        "listen.hosts[1]": f"{file} line 8",
        "listen.quic_port": "DEPINMESH_LISTEN__QUIC_PORT",
        "pubsub.queue_size": "DEPINMESH_PUBSUB__QUEUE_SIZE",
        "colour": "the argument colour",
    }
    assert found["databse"].hint == "did you mean database?"
    assert found["gate.tmeout"].hint == "did you mean timeout?"
    assert (found["listen.quic_port"].value, found["gate.min_interval"].reason) == (
        "'99999'",
        "is not a duration such as 500ms, 30s, 5m or 1h",
    )
    assert str(found["gate.tmeout"]) == f"gate.tmeout: is not a known field (did you mean timeout?) [{file} line 5]"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"gate": {"max_stale": "10s", "refresh_interval": "1m"}}, "gate.max_stale"),
        ({"pubsub": {"queue_bytes": "4KiB"}}, "pubsub.queue_bytes"),
        ({"listen": {"quic_port": "off", "tcp_port": "off"}}, "listen.tcp_port"),
        ({"databases": ["depin-network"]}, "databases.depin-network"),
    ],
)
def test_contradictory_limits(fields: dict[str, Any], path: str) -> None:
    assert [problem.path for problem in refused(**complete(**fields))] == [path]


def test_misspelt_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one with a single underscore; but not what Kubernetes sets for a service of this name."""
    monkeypatch.setenv("DEPINMESH_GATE_TIMEOUT", "5s")
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT_QUIC", "PORT_4001_UDP_ADDR", "A_SERVICE_HOST"):
        monkeypatch.setenv(f"DEPINMESH_{name}", "tcp://10.0.0.1:4001")
    (problem,) = refused(**complete())
    assert (problem.path, problem.hint) == ("gate_timeout", "did you mean gate.timeout?")
    assert problem.source == "DEPINMESH_GATE_TIMEOUT"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [1", "is no YAML in line 1"),
        ("- a\n- b", "has no options"),
        ("gate: {timeout: 1}\ngate: {timeout: 2}", "stands here twice"),
        ("database: !secret x", "is of the unknown kind !secret"),
        ("database: &a [*a]", "refers to itself"),
        ("database: \x01", "is no YAML"),
    ],
)
def test_files_that_are_no_configuration(text: str, reason: str, tmp_path: Path) -> None:
    (problem,) = refused(yaml(tmp_path, text))
    assert reason in problem.reason


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "nothing.yaml")[0].reason
    assert "Is a directory" in refused(tmp_path)[0].reason
    file = tmp_path / "latin"
    file.write_bytes(b"database: caf\xe9")
    assert refused(file)[0].reason == "is not UTF-8 text"


def test_a_file_with_a_key_must_be_private(tmp_path: Path) -> None:
    file = yaml(tmp_path, f"private_key: {KEY.to_base58()}\nauthorized_wallets: []")
    assert Config.load(file).private_key == KEY
    file.chmod(0o644)
    (problem,) = refused(file)
    assert "open to others" in problem.reason
    assert KEY.to_base58() not in str(problem)


def test_no_secret_of_a_broken_file_is_shown(tmp_path: Path) -> None:
    file = yaml(tmp_path, f"private_key: '{KEY.to_base58()}\nkey: [{KEY.to_base58()}")
    assert KEY.to_base58() not in str(refused(file))


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    assert Config.load(yaml(tmp_path, "# nothing\n"), **complete()).database == "depin-network"


def test_groups_and_lists_with_nothing_in_them_are_left_out(tmp_path: Path) -> None:
    file = yaml(tmp_path, "gate:\nlisten: {}\ndatabases:\nbootstrap_nodes:\nauthorized_wallets: []\n")
    assert Config.load(file, private_key=KEY) == Config(private_key=KEY, authorized_wallets=[])


def test_databases_with_lists_of_their_own(tmp_path: Path) -> None:
    file = yaml(tmp_path, f"databases:\n  load:\n  rooms: [{KEY.wallet}]\n")
    made = Config.load(file, **complete())
    assert dict(made.databases) == {"load": None, "rooms": (KEY.wallet,)}
    assert made._wallets_of("load") == made._wallets_of("depin-network") == tuple(WALLETS)
    assert made._wallets_of("rooms") == (KEY.wallet,)
    assert hash(made) == hash(Config.load(file, **complete()))


def test_functions_of_a_module(tmp_path: Path) -> None:
    """`module:function` is imported, also from beside the file; what is not there is said."""
    (tmp_path / "fleet_of_a_test.py").write_text("class Chain:\n    def wallets(self): return []\nchain = Chain()\n")
    file = yaml(tmp_path, "authorized_wallets: fleet_of_a_test:chain.wallets\nbootstrap_nodes: fleet_of_a_test:Chain")
    problems = {problem.path: problem for problem in refused(file, private_key=KEY)}
    assert problems.keys() == {"bootstrap_nodes"}
    assert "is a class" in problems["bootstrap_nodes"].reason
    made = Config.load(file, private_key=KEY, bootstrap_nodes=[])
    assert made.authorized_wallets() == []  # type: ignore[operator]  # it is the function
    for text, reason in {"fleet_of_a_test:chian": "has no chian", "no_such_module:x": "cannot be imported"}.items():
        (problem,) = refused(authorized_wallets=text, private_key=KEY)
        assert reason in problem.reason


def test_a_module_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_of_a_test.py").write_text("raise RuntimeError('no chain')")
    monkeypatch.chdir(tmp_path)
    (problem,) = refused(authorized_wallets="broken_of_a_test:x", private_key=KEY)
    assert "RuntimeError: no chain" in problem.reason


def test_registries_by_type(tmp_path: Path) -> None:
    """A registry is made of its type and arguments: text as its parameters want it, paths from the file's folder."""
    (tmp_path / "wallets.txt").write_text(f"{KEY.wallet}\n")
    file = yaml(
        tmp_path,
        f"""\
        authorized_wallets:
          type: any_of
          sources:
            - type: file
              path: wallets.txt
              poll_interval: 250ms
            - [{OTHER.wallet}]
            - fleet_of_types:wallets
        databases:
          load: {{type: static, wallets: [{KEY.wallet}]}}
          billing: {{type: http, urls: https://fleet.example, timeout: 2s, max_size: 64KiB}}
        """,
    )
    (tmp_path / "fleet_of_types.py").write_text("def wallets(): return []\n")
    made = Config.load(file, private_key=KEY)
    assert type(made.databases["load"]) is StaticRegistry
    assert callable(getattr(made.authorized_wallets, "wallets", None))
    lists = Config.load(private_key=KEY, authorized_wallets={"type": "file", "path": tmp_path / "wallets.txt"})
    assert type(lists.authorized_wallets) is FileRegistry


def test_one_registry_for_wallets_and_nodes(tmp_path: Path) -> None:
    """`registry` as bootstrap list is the registry of the wallets itself, not a second one."""
    entry = f"{OTHER.wallet}@node.example"
    file = yaml(
        tmp_path,
        f"authorized_wallets: {{type: static, wallets: [{KEY.wallet}], bootstrap_nodes: ['{entry}']}}\n"
        "bootstrap_nodes: registry\n",
    )
    made = Config.load(file, private_key=KEY)
    assert made.bootstrap_nodes is made.authorized_wallets
    (problem,) = refused(file, private_key=KEY, authorized_wallets=WALLETS)
    assert "knows no nodes" in problem.reason


def test_a_registry_of_another_type_replaces_the_one_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = yaml(tmp_path, "authorized_wallets: {type: http, urls: [https://a.example], timeout: 2s}\n")
    monkeypatch.setenv("DEPINMESH_AUTHORIZED_WALLETS__TIMEOUT", "3s")
    assert type(Config.load(file, private_key=KEY).authorized_wallets).__name__ == "HttpRegistry"
    monkeypatch.setenv("DEPINMESH_AUTHORIZED_WALLETS__TYPE", "file")
    monkeypatch.setenv("DEPINMESH_AUTHORIZED_WALLETS__PATH", "wallets.txt")
    monkeypatch.delenv("DEPINMESH_AUTHORIZED_WALLETS__TIMEOUT")
    assert type(Config.load(file, private_key=KEY).authorized_wallets) is FileRegistry


@pytest.mark.parametrize(
    ("source", "path", "hint"),
    [
        ({"path": "x"}, "authorized_wallets.type", "a list, "),
        ({"type": "fil", "path": "x"}, "authorized_wallets.type", "did you mean file?"),
        ({"type": "file", "pth": "x", "path": "y"}, "authorized_wallets.pth", "did you mean path?"),
        ({"type": "file"}, "authorized_wallets.path", ""),
        ({"type": "file", "path": "x", "poll_interval": "soon"}, "authorized_wallets.poll_interval", ""),
        ({"type": "file", "path": "x", "poll_interval": "0s"}, "authorized_wallets", ""),
        ({"type": "any_of", "sources": [{"type": "no"}]}, "authorized_wallets.sources[0].type", "known: "),
    ],
)
def test_wrong_registries(source: dict[str, Any], path: str, hint: str) -> None:
    (problem,) = refused(authorized_wallets=source, private_key=KEY)
    assert problem.path == path
    assert (problem.hint or "").startswith(hint)


def test_yaml_is_needed_for_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    assert Config.load(**complete()).private_key == KEY
    (problem,) = refused(yaml(tmp_path, "database: x"))
    assert problem.hint == "pip install 'depinmesh[config]'"
