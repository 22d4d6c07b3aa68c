"""What the documents take from the code, and the files that they tell people to copy."""

from __future__ import annotations

import functools
import json
import pkgutil
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]  # kubernetes-validate stands on it
import pytest
import yaml

import depinmesh
from depinmesh import Config, ConfigError, Event, Keypair
from depinmesh._loading.layers import source_of
from depinmesh._loading.load import load
from depinmesh._loading.options import all_options
from depinmesh.cli import COMMANDS

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "docs" / "configuration.md"
EXAMPLES = sorted((ROOT / "examples").glob("**/*.yaml"))


def test_every_option_and_command_is_documented() -> None:
    table = CONFIGURATION.read_text(encoding="utf-8")
    assert all(f"| `{'.'.join(path)}` |" in table for path, _ in all_options())
    commands = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert all(f"depinmesh {name}" in commands for name in COMMANDS)


def public_modules() -> list[ModuleType]:
    """Return those that say what is public in them; the command line is documented for itself."""
    names = ("depinmesh", *(found.name for found in pkgutil.walk_packages(depinmesh.__path__, "depinmesh.")))
    public = [name for name in names if "._" not in name and not name.startswith("depinmesh.cli")]
    return [module for module in map(import_module, public) if hasattr(module, "__all__")]


def test_the_page_of_the_api_has_every_public_name() -> None:
    """A module shows what is defined in it or named by its `__all__`, and any other name is shown by itself."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = {name: pkgutil.resolve_name(name) for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    missing = [
        f"{module.__name__}.{name}"
        for module in public_modules()
        if module.__name__ not in shown
        for name in set(module.__all__) - {"__version__"}
        if (value := getattr(module, name)).__module__ not in shown and not any(value is one for one in shown.values())
    ]
    assert missing == []
    assert "`depinmesh.__version__`" in text
    fields = [
        name for name in dir(Event) if not name.startswith("_")
    ]  # of the core, whose texts the site does not have
    assert all(f"| `{name}` |" in text for name in fields)


def blocks(kind: str) -> list[str]:
    """Return the blocks of all pages in this language."""
    pages = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]
    pattern = re.compile(rf"^```{kind}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [block for page in pages for block in pattern.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("block", blocks("yaml"))
def test_the_configurations_in_the_documents_load(block: str, tmp_path: Path) -> None:
    functions = ("wallets", "accountants", "nodes")
    (tmp_path / "fleet.py").write_text("".join(f"def {name}(): return []\n" for name in functions))
    file = tmp_path / "node.yaml"
    file.write_text(block)
    fields: dict[str, Any] = {} if "authorized_wallets" in block else {"authorized_wallets": []}
    Config.load(file, env=False, private_key=Keypair.generate(), **fields)


def test_the_faults_of_a_configuration_look_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = (block for block in blocks("text") if "fields are wrong" in block)
    file = tmp_path / "node.yaml"
    file.write_text("# A node.\nauthorized_wallets: []\ndatabase: rooms\ngate:\n  tmeout: 5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEPINMESH_LISTEN__QUIC_PORT", "99999")
    with pytest.raises(ConfigError) as raised:
        Config.load(file.name, private_key=Keypair.generate())
    pattern = ".*".join(map(re.escape, shown.strip().split("...")))
    assert re.fullmatch(pattern, str(raised.value))


@pytest.mark.parametrize("block", blocks("json"))
def test_the_json_in_the_documents_is_json(block: str) -> None:
    json.loads(block)


def test_every_block_is_in_a_language_that_a_test_runs() -> None:
    """Text is a drawing, or written by docs/generate.py, but for the one above."""
    every = blocks(r"(?:\w*)")
    languages = ("python", "sh", "yaml", "json", "text")
    assert len(every) == sum(len(blocks(language)) for language in languages)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_configurations_of_the_examples_load(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# "), "it says what it is for"
    Config.load(file, env=False, private_key=Keypair.generate())


def test_the_commented_options_of_the_example_are_the_defaults(tmp_path: Path) -> None:
    """node.yaml has every option, and what is commented out is what holds without it."""
    text = (ROOT / "examples" / "node.yaml").read_text(encoding="utf-8")
    file = tmp_path / "node.yaml"
    file.write_text(re.sub(r"^( *)# ( *)([a-z_]+:|- )", r"\1\2\3", text, flags=re.MULTILINE))
    key = Keypair.generate()
    loaded = load(file, env=False, fields={"private_key": key})
    plain = Config(private_key=key, authorized_wallets=[])
    for path, _ in all_options():
        name = ".".join(path)
        if name in ("private_key", "key_file", "logger"):
            continue
        assert source_of(path, loaded.layer), f"{name} is missing"
        if name not in ("authorized_wallets", "bootstrap_nodes", "databases", "listen.announce"):
            values = [functools.reduce(getattr, path, config) for config in (loaded.config, plain)]
            assert values[0] == values[1], name


def test_the_schema_names_every_option() -> None:
    from depinmesh._loading.schema import file_schema

    schema = file_schema()
    json.dumps(schema)
    for path, _ in all_options():
        model = schema
        for name in path[:-1]:
            model = schema["$defs"][model["properties"][name]["$ref"].rpartition("/")[2]]
        assert model["properties"][path[-1]]["description"]
    duration = schema["$defs"]["Gate"]["properties"]["timeout"]["anyOf"][1]["pattern"]
    assert re.search(duration, "500 ms")
    assert not re.search(duration, "soon")


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    from depinmesh._loading.schema import file_schema

    jsonschema.Draft202012Validator.check_schema(file_schema())
    return jsonschema.Draft202012Validator(file_schema())


@pytest.mark.parametrize("block", [*(file.read_text(encoding="utf-8") for file in EXAMPLES), *blocks("yaml")])
def test_the_schema_takes_every_configuration_that_is_shown(
    block: str, schema: jsonschema.Draft202012Validator
) -> None:
    """Those of the tests above load."""
    assert [error.message for error in schema.iter_errors(yaml.safe_load(block))] == []


RIGHT = """
# nothing at all
{listen: , gate: , authorized_wallets: , bootstrap_nodes: , databases: , private_key: , logger: }
listen: {tcp_port: off, quic_port: "4001"}
listen: {tcp_port: "off"}
listen: {tcp_port: None, quic_port: " +4e3 "}
listen: {tcp_port: ~, quic_port: 4002}
listen: {hosts: "127.0.0.1, ::1"}
gate: {timeout: "5", min_interval: 500 ms, refresh_interval: +1.5e1s, max_stale: "1h "}
connections: {low: "5", high: "5.0"}
discovery: {mdns: yes, dht: "yes", registry: "ON"}
discovery: {mdns: "0", dht: "off", registry: "No"}
pubsub: {queue_bytes: 8MiB, max_message_size: "4096"}
databases: [rooms, load]
databases: rooms, load
nat: {relays: []}
nat: {relays: ""}
"""

WRONG = """
[]
gate: 5
gate: []
gate: {tmeout: 5}
listen: {tcp_port: on}
listen: {tcp_port: maybe}
listen: {tcp_port: 70000}
listen: {tcp_port: "4002.5"}
listen: {tcp_port: -1}
listen: {hosts: }
listen: {hosts: [1]}
gate: {timeout: }
gate: {timeout: off}
gate: {timeout: "off"}
gate: {timeout: soon}
gate: {timeout: 5 parsec}
gate: {timeout: 1..2}
gate: {timeout: -5s}
connections: {low: }
connections: {low: yes}
connections: {low: 5s}
connections: {low: 1_0x}
discovery: {mdns: }
discovery: {mdns: 1}
discovery: {mdns: maybe}
pubsub: {queue_bytes: 8 MIB}
pubsub: {queue_bytes: "8388608.5"}
pubsub: {overflow: }
{database: }
database: 5
nat: {relays: 5}
nat: {relays: }
authorized_wallets: {type: nosuch}
"""


def loads(text: str, folder: Path) -> bool:
    file = folder / "node.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)  # it may have a private_key
    fields: dict[str, Any] = {} if "authorized_wallets: {" in text else {"authorized_wallets": []}
    try:
        Config.load(file, env=False, private_key=Keypair.generate(), **fields)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("text", RIGHT.strip().splitlines())
def test_the_schema_takes_what_loads(text: str, tmp_path: Path, schema: jsonschema.Draft202012Validator) -> None:
    assert loads(text, tmp_path)
    assert [error.message for error in schema.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize("text", WRONG.strip().splitlines())
def test_the_schema_refuses_what_does_not_load(
    text: str, tmp_path: Path, schema: jsonschema.Draft202012Validator
) -> None:
    assert not loads(text, tmp_path)
    assert not schema.is_valid(yaml.safe_load(text))


@pytest.mark.skipif(sys.platform == "win32", reason="benches are for Linux")
def test_the_page_on_performance_says_what_was_measured() -> None:
    from benches.report import DOCUMENT, KEPT, measured
    from benches.support.results import read

    lines = read(KEPT) if KEPT.exists() else []
    text = DOCUMENT.read_text(encoding="utf-8")
    assert measured(text, lines) == text, "`python -m benches.report` writes it"
