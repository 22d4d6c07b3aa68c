"""`depinmesh config`: what it shows, and what it hides."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from depinmesh._loading.layers import Given, Layer
from depinmesh._loading.load import load
from depinmesh._loading.options import all_options
from depinmesh.cli import main
from depinmesh.cli.account import account

if TYPE_CHECKING:
    from pathlib import Path

KEY = Keypair.from_seed(bytes(range(32)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    key = tmp_path / "node.key"
    key.write_text(KEY.to_base58())
    key.chmod(0o600)
    file = tmp_path / "node.yaml"
    file.write_text(
        f"key_file: node.key\nauthorized_wallets: [{KEY.wallet}]\ndatabases:\n  load:\n  rooms: [{KEY.wallet}]\n"
        "gate:\n  timeout: 5s\n  refresh_interval: 60s\n"
    )
    return file


def test_check_says_that_all_is_right(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "-c", str(file)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"the configuration is right; it is for {KEY.wallet}\n")


def test_show_has_every_option_with_its_source(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPINMESH_GATE__TIMEOUT", "6s")
    monkeypatch.setenv("DEPINMESH_PUBSUB__QUEUE_SIZE", "7")
    assert main(["config", "show", "-c", str(file), "--set", "pubsub.queue_size=8"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    shown = {option: (value, source) for option, value, source in rows}
    assert len(shown) == len(rows)
    assert shown.keys() == {".".join(path) for path, _ in all_options() if path != ("databases",)} | {
        "databases.load",
        "databases.rooms",
    }
    assert shown["gate.timeout"] == ("6.0", "DEPINMESH_GATE__TIMEOUT")
    assert shown["gate.refresh_interval"] == ("60.0", f"{file} line 8")
    assert shown["pubsub.queue_size"] == ("8", "--set pubsub.queue_size")
    assert shown["database"] == ("depin-network", "default")
    assert shown["databases.load"] == ("as authorized_wallets", f"{file} line 4")
    assert shown["databases.rooms"] == ("1 in a list", f"{file} line 5")
    assert shown["private_key"] == (f"(hidden), of the wallet {KEY.wallet}", f"{file} line 1")


def test_show_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--json", "-c", str(file)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"option": "gate.timeout", "value": "5.0", "source": f"{file} line 7"} in rows


def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPINMESH_PRIVATE_KEY", KEY.to_base58())
    monkeypatch.setenv("DEPINMESH_AUTHORIZED_WALLETS", KEY.wallet)
    assert main(["config", "show"]) == 0
    out, err = capsys.readouterr()
    assert KEY.to_base58() not in out + err


def test_secrets_of_registries_are_hidden() -> None:
    source = {
        "type": "http",
        "urls": ["https://user:pass@rpc.example/v1/api-key-of-mine?token=secret", "https://plain.example"],
        "headers": {"x-api": "hush"},
        "timeout": "3s",
    }
    options: Layer = {("authorized_wallets", name): Given(value, "a test") for name, value in source.items()}
    loaded = load(None, env=False, fields={"private_key": KEY}, options=options)
    value = {option: value for option, value, _ in account(loaded)}["authorized_wallets"]
    assert value == "http(urls=[https://rpc.example/(hidden), https://plain.example], headers=(hidden), timeout=3s)"


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["additionalProperties"] is False
    assert "required" not in schema


@pytest.mark.parametrize(
    "command", [["config", "check"], ["node"], ["sub", "news"], ["registry", "list"], ["ping", "x"]]
)
def test_wrong_configurations_are_exit_code_2(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("gate: {tmeout: 5}\ndatabse: x\n")
    assert main([*command, "-c", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean timeout?" in err
    assert f"[{file} line 2]" in err


def test_wrong_settings_are_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "--set", "gate.timeout"]) == 2
    assert "[--set]" in capsys.readouterr().err
    assert main(["config", "check", "--set", f"private_key={KEY.to_base58()}"]) == 2
    err = capsys.readouterr().err
    assert "use key_file" in err
    assert KEY.to_base58() not in err


@pytest.mark.parametrize("place", ["8081", "localhost", "127.0.0.1:http"])
def test_a_place_for_the_ops_server_is_host_and_port(
    place: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["node", "-c", str(file), "--ops", place]) == 2
    assert "is not of the form host:port" in capsys.readouterr().err


def test_a_registry_is_asked_for_known_databases_only(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "list", "-c", str(file), "--database", "rooms"]) == 0
    assert capsys.readouterr().out == f"{KEY.wallet}\n"
    assert main(["registry", "list", "-c", str(file), "--database", "room"]) == 2
    assert "known: depin-network, load, rooms" in capsys.readouterr().err


def test_durations_are_text_on_the_command_line_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = [word for port in ("quic", "tcp") for word in ("--set", f"listen.{port}_port=0")]
    here = ["--set", "listen.hosts=127.0.0.1"]
    assert main(["sub", "news", "--timeout", "200ms", "-c", str(file), *free, *here]) == 3
    assert "longer than 0.2 s" in capsys.readouterr().err
    assert main(["sub", "news", "--timeout", "soon", "-c", str(file)]) == 2
    assert "is not a duration" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["sub", "x", "-n", "0"],
        ["pub", "x", "1", "--count", "-1"],
        ["bench", "pub", "-n", "0"],
        ["ping", "x", "-n", "0"],
    ],
)
def test_counts_are_one_at_least(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Invalid value" in err


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals here")
def test_a_table_on_a_narrow_terminal_shows_every_character(file: Path) -> None:
    command = [sys.executable, "-m", "depinmesh", "config", "show", "-c", str(file)]
    plain = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    controller, terminal = os.openpty()
    with subprocess.Popen(command, stdout=terminal, env={**os.environ, "TERM": "dumb", "COLUMNS": "80"}) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # as Linux tells of the end
            while part := os.read(controller, 65_536):
                shown += part
    os.close(controller)
    assert process.returncode == 0
    assert max(map(len, shown.decode().split("\r\n"))) <= 80
    assert Counter("".join(shown.decode().split())) == Counter("".join(f"option value from {plain}".split()))
