"""Every option from every level: defaults, file, environment, keywords, command line."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import BootstrapNode, Config
from depinmesh._loading.environment import variable_of
from depinmesh._loading.layers import Given
from depinmesh._loading.load import load
from depinmesh._validation import Options
from tests.configs import KEY, OTHER, WALLETS, complete, key_file, yaml

if TYPE_CHECKING:
    from pathlib import Path

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
