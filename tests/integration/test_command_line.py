"""Three nodes, driven by the command line alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each its own, as gossip may bring a newcomer what was published before it came.
TOPICS = ("news", "measured", "talk", "clock")
COMMAND = [sys.executable, "-P", "-m", "depinmesh"]
WAIT = 25.0


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DEPINMESH_")}


def run(*arguments: object, code: int = 0, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must be this exit code."""
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=WAIT, env=environment(), input=text
    )
    assert done.returncode == code, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(stream: IO[str] | None, what: str) -> str:
    """Return the next line that has this in it; pytest's time limit ends a wait in vain."""
    assert stream is not None
    for line in stream:
        if what in line:
            return line.strip()
    pytest.fail(f"it ended without a line with {what!r}")


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def new_key(folder: Path, name: str) -> Keypair:
    file = folder / f"{name}.key"
    file.write_text(Keypair.generate().to_base58())
    file.chmod(0o600)
    return Keypair.from_file(file)


@dataclass
class Member:
    """A node of the fleet."""

    file: Path
    key: Keypair
    ops: str
    entry: str
    process: subprocess.Popen[str]


@dataclass
class Fleet:
    """Three nodes, and two listed keys for tools."""

    folder: Path
    members: list[Member]
    tools: list[Path]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    keys = {name: new_key(folder, name) for name in ("one", "two", "three", "tool", "other")}
    wallets = json.dumps([key.wallet for key in keys.values()])
    members: list[Member] = []
    with contextlib.ExitStack() as stack:
        for name in ("one", "two", "three"):
            file = folder / f"{name}.yaml"
            file.write_text(
                f"key_file: {name}.key\n"
                f"authorized_wallets: {wallets}\n"
                f"bootstrap_nodes: {json.dumps([member.entry for member in members])}\n"
                "databases: [load]\n"
                "listen:\n"
                "  hosts: [127.0.0.1]\n"
                f"  quic_port: {free_port(socket.SOCK_DGRAM)}\n"
                f"  tcp_port: {free_port(socket.SOCK_STREAM)}\n"
            )
            topics = [word for topic in TOPICS for word in ("--topic", topic)]
            node = running("node", "-c", file, "--ops", "127.0.0.1:0", "--min-peers", 2, *topics)
            process = stack.enter_context(node)
            ops = line_of(process.stderr, "ops at").removeprefix("ops at ")
            members.append(Member(file, keys[name], ops, line_of(process.stdout, "@127.0.0.1:"), process))
        until = time.monotonic() + WAIT
        while any(status(member)["checks"] for member in members):
            assert time.monotonic() < until, "the nodes do not find each other"
            time.sleep(0.1)
        yield Fleet(folder, members, [folder / "tool.key", folder / "other.key"])


def status(member: Member) -> dict[str, Any]:
    """Return its status, with the checks that fail."""
    command = [*COMMAND, "status", "--json", "--ops", member.ops]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT)
    report: dict[str, Any] = json.loads(done.stdout)
    report["checks"] = [check for check in report["checks"] if not check["ok"]]
    assert done.returncode == bool(report["checks"])
    return report


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
    assert "is not JSON" in run("pub", "news", "oops", *own, code=1).stderr
    assert "is empty" in run("pub", "", "1", *own, code=1).stderr
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


def findings(*arguments: object, code: int = 0) -> dict[str, dict[str, str]]:
    """Return what the doctor found, by what it looked at; each thing that is not right has a remedy."""
    found = json.loads(run("doctor", "--json", *arguments, code=code).stdout)
    assert all(one["verdict"] == "ok" or one["remedy"] for one in found)
    return {one["what"]: one for one in found}


@pytest.mark.timeout(60)
def test_the_doctor_finds_a_healthy_node_healthy(fleet: Fleet) -> None:
    three = fleet.members[2]
    found = findings("-c", three.file, "--ops", three.ops)
    assert found["running node"]["detail"] == "ready, with 2 peers"
    assert {one["verdict"] for one in found.values()} == {"ok", "skipped"}
    with running("pub", "clock", '"tick"', "-n", 200, "--interval", 0.1, "-c", three.file, "--key", fleet.tools[1]):
        arguments = ("-c", three.file, "--key", fleet.tools[0], "--topic", "clock")
        found = findings(*arguments)
    assert {one["verdict"] for one in found.values()} == {"ok"}
    assert found["clock"]["detail"].startswith("agrees with 1 authors")
    for member in fleet.members[:2]:
        assert f"bootstrap node {member.entry}" in found


@pytest.mark.timeout(60)
def test_the_doctor_finds_what_is_wrong(fleet: Fleet, tmp_path: Path) -> None:
    """A wrong key, a taken port, a dead registry, a dead bootstrap node: each is named, with a remedy."""
    one = fleet.members[0]
    taken = findings("-c", one.file, code=1)["ports"]
    assert taken["verdict"] == "fault"
    assert "listen." in taken["remedy"]

    key = new_key(tmp_path, "node")
    free = "--set", "listen.quic_port=0", "--set", "listen.tcp_port=0"
    unlisted = findings("-c", one.file, *free, "--set", f"key_file={tmp_path / 'node.key'}", code=1)
    assert f"list {key.wallet}" in unlisted["own wallet in depin-network"]["remedy"]

    (tmp_path / "node.key").chmod(0o644)
    key_fault = findings("-c", one.file, "--set", f"key_file={tmp_path / 'node.key'}", code=1)
    assert key_fault.keys() == {"key"}
    assert "chmod 600" in key_fault["key"]["detail"]

    (tmp_path / "chain.py").write_text("def dead():\n    raise ConnectionError('the chain is away')\n")
    (tmp_path / "dead.yaml").write_text("authorized_wallets: chain:dead\nlisten: {hosts: 127.0.0.1}\n")
    dead = findings("-c", tmp_path / "dead.yaml", "--key", fleet.tools[0], code=1)
    assert "the chain is away" in dead["registry of depin-network"]["detail"]

    nobody = f"{one.key.wallet}@127.0.0.1:{free_port(socket.SOCK_DGRAM)}:{free_port(socket.SOCK_STREAM)}"
    away = findings(
        "-c", one.file, "--key", fleet.tools[0], "--set", f"bootstrap_nodes={nobody}", "--set", f"{free[1]}", code=1
    )
    assert "could not be reached" in away[f"bootstrap node {nobody}"]["detail"]


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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process alone")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_starts_says_where_it_is_and_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text("key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 127.0.0.1}\n")
    free = "--set", "listen.quic_port=0", "--set", "listen.tcp_port=0"
    with running("node", "-c", file, *free, "--log-format", "json", "--status-interval", 0.2) as node:
        line_of(node.stdout, "@127.0.0.1:")
        record = json.loads(line_of(node.stderr, "Status:"))
        assert record["logger"] == "depinmesh.node"
        node.send_signal(number)
        node.communicate(timeout=WAIT)
    assert node.returncode == 0


@pytest.mark.parametrize("what", ["port", "ops"])
def test_a_taken_port_is_an_error_and_nothing_is_left(fleet: Fleet, tmp_path: Path, what: str) -> None:
    one = fleet.members[0]
    arguments: list[object] = ["node", "-c", one.file, "--set", f"key_file={fleet.tools[0]}"]
    if what == "ops":
        arguments += ["--set", "listen.quic_port=0", "--set", "listen.tcp_port=0"]
        arguments += ["--ops", one.ops.removeprefix("http://")]
    done = run(*arguments, code=1)
    assert done.stdout == ""
    *log, error = done.stderr.splitlines()
    assert error.startswith("depinmesh node: ")
    assert "listen" in error
    assert any("starting to listen" in line for line in log)


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text("key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 192.0.2.1}\n")
    assert "192.0.2.1" in run("node", "-c", file, code=1).stderr
    assert "no address of this machine" in run("doctor", "-c", file, code=1).stdout


def test_a_port_without_permission_is_an_error(tmp_path: Path) -> None:
    lowest = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not lowest.exists() or int(lowest.read_text()) <= 80:
        pytest.skip("low ports are anybody's here")
    # As root: without the capability. There is a geteuid, as there is a /proc.
    without = ["setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    if without and shutil.which(without[0]) is None:
        pytest.skip("no setpriv (util-linux), without which the superuser may use any port")
    new_key(tmp_path, "node")
    file = tmp_path / "node.yaml"
    file.write_text(
        "key_file: node.key\nauthorized_wallets: []\nlisten: {hosts: 127.0.0.1, quic_port: off, tcp_port: 80}\n"
    )
    for command, said in (("node", "Permission denied"), ("doctor", "take a port above 1023")):
        done = subprocess.run(
            [*without, *COMMAND, command, "-c", str(file)],
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT,
            env=environment(),
        )
        assert done.returncode == 1
        assert said in done.stdout + done.stderr
