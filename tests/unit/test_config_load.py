"""Configurations from files, the environment and keywords."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Config, ConfigError, Keypair
from depinmesh.registry import FileRegistry, StaticRegistry
from tests.configs import KEY, OTHER, WALLETS, complete, key_file, yaml

if TYPE_CHECKING:
    from pathlib import Path

    from depinmesh.errors import ConfigProblem


def refused(*arguments: Any, **fields: Any) -> list[ConfigProblem]:
    with pytest.raises(ConfigError) as caught:
        Config.load(*arguments, **fields)
    return caught.value.errors


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
        ("database: !!bool x", "is not of the kind tag:yaml.org,2002:bool"),
        ("database: !!timestamp x", "is not of the kind"),
        ("database: !!int ''", "is not of the kind"),
        ("authorized_wallets: !!seq x", "is not of the kind"),
        ("gate: " + "[" * 3000, "is too deep"),
        ("a: &a [x]\n? *a\n: x", "in the place of a name"),
    ],
)
def test_files_that_are_no_configuration(text: str, reason: str, tmp_path: Path) -> None:
    (problem,) = refused(yaml(tmp_path, text))
    assert reason in problem.reason


def test_aliases_of_aliases_are_not_followed_for_ever(tmp_path: Path) -> None:
    """Nine levels of nine: a few hundred bytes that stand for 387 million values."""
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)]
    (problem,) = refused(yaml(tmp_path, "a0: &a0 x\n" + "".join(levels)))
    assert "values" in problem.reason


def handed_over(text: str) -> str:
    """Return the name of a pipe as a shell gives it for `<(...)`."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return f"/dev/fd/{reading}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.timeout(20)
def test_a_pipe_is_read_only_when_it_is_handed_over(tmp_path: Path) -> None:
    fifo = tmp_path / "node.yaml"
    os.mkfifo(fifo)
    assert "is a named pipe" in refused(fifo)[0].reason
    name = handed_over("database: rooms")
    assert Config.load(name, **complete()).database == "rooms"
    os.close(int(name.rpartition("/")[2]))


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


@pytest.mark.parametrize(
    ("line", "path", "reason"),
    [
        ("databases: [a, {b: []}]", "databases", "not the name of a database"),
        ("key_file: ~nobody-has-this-name/key", "key_file", "no such home folder"),
        ("gate: {timeout: '1e1000000'}", "gate.timeout", "is not a duration"),
        ("pubsub: {max_message_size: '1e100000'}", "pubsub.max_message_size", "is not a size"),
    ],
)
def test_what_cannot_be_read_at_all_is_a_problem_of_its_field(
    tmp_path: Path, line: str, path: str, reason: str
) -> None:
    problems = refused(yaml(tmp_path, line + "\n"))
    (problem,) = (problem for problem in problems if problem.path == path)
    assert reason in problem.reason


def test_a_file_in_no_home_folder_is_named() -> None:
    (problem,) = refused("~nobody-has-this-name/node.yaml")
    assert "no such home folder" in str(problem)
    assert "node.yaml" in str(problem)
