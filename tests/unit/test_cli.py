"""The command line, without the demonstration."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from depinmesh.cli import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path


def wallets_said(text: str) -> list[str]:
    return [line.removeprefix("wallet ") for line in text.splitlines() if line.startswith("wallet ")]


def test_keygen_writes_a_base58_secret_to_stdout_and_its_wallet_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen"]) == 0
    out, err = capsys.readouterr()
    assert wallets_said(err) == [Keypair.from_base58(out.strip()).wallet]
    assert out.strip() not in err


def test_keygen_writes_all_keys_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--count", "3"]) == 0
    out, err = capsys.readouterr()
    keys = [Keypair(line) for line in out.splitlines()]
    assert len(set(keys)) == 3
    assert wallets_said(err) == [key.wallet for key in keys]


def test_keygen_as_json_names_everything_of_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--format", "json", "--count", "2"]) == 0
    for line in capsys.readouterr().out.splitlines():
        entry = json.loads(line)
        key = Keypair(entry["private_key"])
        assert entry == {"wallet": key.wallet, "peer_id": key.peer_id, "private_key": key.to_base58()}


def test_keygen_as_environment_gives_each_key_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--format", "env"]) == 0
    name, _, secret = capsys.readouterr().out.strip().partition("=")
    assert name == "DEPINMESH_PRIVATE_KEY"
    assert Keypair(secret).to_base58() == secret
    assert main(["keygen", "--format", "env", "--count", "2"]) == 0
    names = [line.partition("=")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["DEPINMESH_PRIVATE_KEY_1", "DEPINMESH_PRIVATE_KEY_2"]


def test_keygen_as_solana_array_is_the_secret(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--format", "solana"]) == 0
    out, err = capsys.readouterr()
    assert wallets_said(err) == [Keypair(bytes(json.loads(out))).wallet]


@pytest.mark.parametrize("form", ["base58", "solana"])
def test_keygen_makes_a_private_file_that_a_node_reads(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "node.key"
    before = os.umask(0)
    try:
        assert main(["keygen", "--format", form, "--output", str(file)]) == 0
    finally:
        os.umask(before)
    out, err = capsys.readouterr()
    assert out == ""
    assert wallets_said(err) == [Keypair.from_file(file).wallet]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keygen_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "node.key"
    file.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for target in (file, link):
        assert main(["keygen", "--output", str(target)]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "exists already" in err
    assert file.read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


def test_keygen_says_why_a_file_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--output", str(tmp_path / "nowhere" / "key")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_version_shows_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert {"depinmesh", "libp2p", "profile", "python", "pydantic"} <= shown.keys()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["keygen", "--count", "0"],
        ["keygen", "--count", "x"],
        ["keygen", "--format", "pem"],
        ["demo", "--seconds", "nan"],
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: depinmesh" in err


def test_an_interruption_is_exit_code_130_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("depinmesh.cli.keygen.run", interrupt)
    assert main(["keygen"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "depinmesh", "keygen"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_is_quick() -> None:
    resource = pytest.importorskip("resource", reason="Windows does not tell what a child has used")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "depinmesh", "--help"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "keygen" in done.stdout
    # CPU time, as others may be using this machine; 250 ms are promised.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.75


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert {line.split()[0] for line in out.splitlines() if line.startswith("  ")} == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"depinmesh {name}" in out


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.extra])
def test_a_command_without_its_extra_names_it_in_one_line(name: str) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['cyclopts', 'rich', 'httpx2', 'yaml']))\n"
        f"from depinmesh.cli import main; sys.exit(main([{name!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = [f"depinmesh {name} needs {missing}: pip install 'depinmesh[cli]'\n" for missing in ("cyclopts", "rich")]
    assert done.stderr in lines


@pytest.mark.parametrize("arguments", [["keygen"], ["version"], ["--help"]])
def test_some_commands_need_no_extra(arguments: list[str]) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['cyclopts', 'rich', 'httpx2', 'yaml']))\n"
        f"from depinmesh.cli import main; sys.exit(main({arguments!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
