"""Three nodes, driven by the command line alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.commands import COMMAND, TOPICS, WAIT, environment, line_of, new_key, run, running, status
from tests.support import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands import Fleet


@pytest.mark.timeout(90)
def test_views_of_a_running_node(fleet: Fleet) -> None:
    one, *others = fleet.members
    for ops in (one.ops, one.ops.removeprefix("http://"), f"{one.ops}/"):
        rows = [line.split("\t") for line in run("peers", "--ops", ops).stdout.splitlines()]
        assert {row[0] for row in rows} == {member.key.wallet for member in others}
    assert [peer["wallet"] for peer in json.loads(run("peers", "--json", "--ops", one.ops).stdout)] == [
        row[0] for row in rows
    ]
    topics = [line.split("\t")[:3] for line in run("topics", "--ops", one.ops).stdout.splitlines()]
    assert topics == [[database, topic, "2"] for database in ("depin-network", "load") for topic in sorted(TOPICS)]
    shown = dict(line.split("\t") for line in run("status", "--ops", one.ops).stdout.splitlines())
    assert shown["wallet"] == one.key.wallet
    assert shown["check peers"] == "ok: 2 of 2 or more"
    assert shown["registry"] == "5 wallets, our own is listed, a fixed list"
    assert status(one)["node"]["bootstrap_entries"] == [one.entry]
    assert "bootstrap nodes" not in shown  # it was the first
    last = dict(line.split("\t") for line in run("status", "--ops", others[-1].ops).stdout.splitlines())
    assert last["bootstrap nodes"] == "2 of 2 connected"


def test_views_say_why_there_is_nothing(fleet: Fleet) -> None:
    nobody = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    assert "nothing listens there" in run("peers", "--ops", nobody, code=1).stderr
    assert "/livez/status" in run("peers", "--ops", f"{fleet.members[0].ops}/livez", code=1).stderr


@pytest.mark.timeout(90)
def test_events_from_pub_to_sub(fleet: Fleet) -> None:
    one, two, _ = fleet.members
    tool, other = fleet.tools
    with running("sub", "news", "--json", "-n", 4, "-c", one.file, "--key", tool) as sub:
        assert not line_of(sub.stderr, "listens for news; peers: ").endswith(" 0")
        run("pub", "news", '{"load": 1.0}', "-n", 2, "-c", two.file, "--key", other)
        said = run("pub", "news", "-", "-c", two.file, "--key", other, text='"line"\n\n[1, null]\n').stderr
        assert said == "published 2 messages on news\n"
        out, err = sub.communicate(timeout=WAIT)
    assert (sub.returncode, err) == (0, "4 events\n")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["message"] for event in events] == [{"load": 1.0}, {"load": 1.0}, "line", [1, None]]
    author = Keypair.from_file(other)
    assert {(event["wallet"], event["from_peer"], event["topic"]) for event in events} == {
        (author.wallet, author.peer_id, "news")
    }


@pytest.mark.timeout(60)
def test_what_pub_refuses(fleet: Fleet) -> None:
    one = fleet.members[0]
    own = ("-c", one.file, "--key", fleet.tools[0])
    assert "is not JSON" in run("pub", "news", "{bad", *own, code=2).stderr
    assert "is empty" in run("pub", "", "1", *own, code=2).stderr
    small = ("--set", "pubsub.max_message_size=1KiB")
    assert "bytes" in run("pub", "news", "x" * 2000, "--text", *small, *own, code=2).stderr
    assert "its ports are taken" in run("pub", "news", "1", "-c", one.file, code=2).stderr
    late = run("pub", "nobody-subscribes", "1", "--timeout", 0.2, *own, code=3)
    assert "waiting for 1 peers" in late.stderr
    unlisted = fleet.folder / "unlisted.key"
    if not unlisted.exists():
        new_key(fleet.folder, "unlisted")
    assert "is not listed" in run("pub", "news", "1", "-c", one.file, "--key", unlisted, code=1).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process alone")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_sub_in_order(fleet: Fleet, number: signal.Signals) -> None:
    with running("sub", "news", "-c", fleet.members[0].file, "--key", fleet.tools[0]) as sub:
        line_of(sub.stderr, "listens for news")
        sub.send_signal(number)
        out, err = sub.communicate(timeout=WAIT)
    assert (sub.returncode, out, err) == (0, "", "0 events\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other words for it")
def test_a_stdin_that_cannot_be_read_ends_pub(fleet: Fleet, tmp_path: Path) -> None:
    """As that which nohup gives in place of a terminal."""
    own = ("-c", str(fleet.members[0].file), "--key", str(fleet.tools[0]))
    with (tmp_path / "written").open("w") as only_written:
        done = subprocess.run(
            [*COMMAND, "pub", "news", "--min-peers", "0", *own],
            stdin=only_written,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT,
            env=environment(),
        )
    assert (done.returncode, done.stderr) == (1, "depinmesh pub: stdin cannot be read: Bad file descriptor\n")


@pytest.mark.timeout(60)
@pytest.mark.skipif(sys.platform == "win32", reason="the shell of Windows closes nothing")
@pytest.mark.parametrize("command", ["pub news --min-peers 0", "shell"])
def test_a_stdin_that_is_closed_is_empty(fleet: Fleet, command: str) -> None:
    words = [*COMMAND, *command.split(), "-c", str(fleet.members[0].file), "--key", str(fleet.tools[0])]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT,
        env=environment(),
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (0, "", 1), done.stderr


@pytest.mark.timeout(90)
@pytest.mark.parametrize("form", ["--json", "text"])
def test_a_message_that_stdout_has_no_characters_for(fleet: Fleet, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its JSON is the same JSON all the same."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    one, two, _ = fleet.members
    tool, other = fleet.tools
    message = {"city": "Z\u00fcrich", "is": "\U0001f600"}
    options = ["--json"] if form == "--json" else []
    with running("sub", "letters", *options, "-n", 1, "-c", one.file, "--key", tool) as sub:
        line_of(sub.stderr, "listens for letters")
        run("pub", "letters", json.dumps(message), "-c", two.file, "--key", other)
        out, err = sub.communicate(timeout=WAIT)
    assert (sub.returncode, err) == (0, "1 events\n")
    assert out.isascii()
    assert (json.loads(out)["message"] if options else json.loads(out[out.index("{") :])) == message


def test_sub_ends_after_its_time(fleet: Fleet) -> None:
    arguments = ("-c", fleet.members[0].file, "--key", fleet.tools[0], "--timeout", 2)
    assert "longer than 2 s" in run("sub", "silence", *arguments, code=3).stderr


def test_ping_measures_the_round_trip(fleet: Fleet) -> None:
    done = run("ping", fleet.members[2].entry, "-n", 1, "-c", fleet.members[0].file, "--key", fleet.tools[0])
    assert f"connected to {fleet.members[2].key.wallet} by quic" in done.stderr
    value, unit = done.stdout.split()
    assert unit == "ms"
    assert 0 < float(value) < 5000


@pytest.mark.timeout(60)
def test_bench_counts_what_arrives(fleet: Fleet) -> None:
    one, two, _ = fleet.members
    tool, other = fleet.tools
    with running("bench", "sub", "--topic", "measured", "-n", 500, "--json", "-c", one.file, "--key", tool) as sub:
        line_of(sub.stderr, "waiting for 500 events")
        sent = run("bench", "pub", "--topic", "measured", "-n", 500, "--rate", 1000, "-c", two.file, "--key", other)
        out, _ = sub.communicate(timeout=WAIT)
    assert "published\t500" in sent.stdout
    result = json.loads(out)
    assert result["received"] + result["missing"] == 500
    assert result["received"] > 0
    assert 0 < result["latency_ms_median"] < 10_000


@pytest.mark.timeout(60)
def test_the_shell_through_a_pipe(fleet: Fleet) -> None:
    one, two, _ = fleet.members
    tool, other = fleet.tools
    with running("shell", "-c", one.file, "--key", tool) as shell:
        assert shell.stdin is not None
        line_of(shell.stderr, "`help` lists commands")
        for line in ("help", "peers", "status", "subscribe talk", "topics", "dance"):
            print(line, file=shell.stdin, flush=True)
        line_of(shell.stderr, "quit")
        line_of(shell.stderr, " peers")
        line_of(shell.stderr, "subscribed to talk")
        line_of(shell.stderr, "dance is no command")
        said = "published to 0"
        while said.startswith("published to 0"):  # it has to hear first that there is one
            print("publish talk hello", file=shell.stdin, flush=True)
            said = line_of(shell.stderr, "published to")
        run("pub", "talk", '{"a": 1}', "-c", two.file, "--key", other)
        # Gossip may repair what was published before it came, so that this is not always the first line.
        assert line_of(shell.stdout, '{"a":1}') == f'talk {Keypair.from_file(other).wallet} {{"a":1}}'
        _, err = shell.communicate("unsubscribe talk\nunsubscribe talk\nquit\n", timeout=WAIT)
    assert shell.returncode == 0
    assert err.endswith("unsubscribed from talk\nthere is no subscription of 'talk'\n")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudo-terminals here")
def test_the_shell_on_a_terminal(fleet: Fleet) -> None:
    """On a terminal it prompts, and Ctrl-C ends it in order."""
    controller, terminal = os.openpty()
    command = [*COMMAND, "shell", "-c", str(fleet.members[0].file), "--key", str(fleet.tools[0])]
    shell = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment())
    os.close(terminal)
    try:
        seen = read_until(controller, b"> ")
        os.write(controller, b"status\n")
        seen += read_until(controller, b"listens on")
        shell.send_signal(signal.SIGINT)
        assert shell.wait(WAIT) == 0
    finally:
        shell.kill()
        shell.wait()
        os.close(controller)
    assert b"Traceback" not in seen


def read_until(descriptor: int, what: bytes) -> bytes:
    seen = b""
    while what not in seen:
        seen += os.read(descriptor, 4096)
    return seen


def test_registry_commands(fleet: Fleet) -> None:
    one = fleet.members[0]
    listed = run("registry", "list", "-c", one.file)
    assert one.key.wallet in listed.stdout.splitlines()
    assert listed.stderr == "5 wallets\n"
    assert run("registry", "check", "-c", one.file).stdout == f"{one.key.wallet}\tlisted\n"
    stranger = Keypair.generate()
    verdicts = run("registry", "check", one.key.peer_id, stranger.wallet, "--json", "-c", one.file, code=1).stdout
    assert json.loads(verdicts) == {one.key.wallet: True, stranger.wallet: False}
    assert "wallet" in run("registry", "check", "nonsense", "-c", one.file, code=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process alone")
def test_registry_watch_shows_changes(fleet: Fleet, tmp_path: Path) -> None:
    list_file = tmp_path / "wallets"
    ada, bob = Keypair.generate().wallet, Keypair.generate().wallet
    list_file.write_text(ada)
    (tmp_path / "file_of_wallets.py").write_text(
        f"import pathlib\ndef read():\n    return pathlib.Path({str(list_file)!r}).read_text().split()\n"
    )
    (tmp_path / "node.yaml").write_text("authorized_wallets: file_of_wallets:read")
    key = f"key_file={fleet.tools[0]}"
    with running("registry", "watch", "--interval", 0.1, "-c", tmp_path / "node.yaml", "--set", key) as watch:
        assert line_of(watch.stdout, "+").endswith(f"+ {ada}")
        list_file.write_text(bob)
        assert line_of(watch.stdout, "+").endswith(f"+ {bob}")
        assert line_of(watch.stdout, "-").endswith(f"- {ada}")
        list_file.unlink()
        line_of(watch.stderr, "FileNotFoundError")
        watch.send_signal(signal.SIGINT)
        assert watch.wait(WAIT) == 0
