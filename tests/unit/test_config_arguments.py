"""Arguments of registries that stand in files, variables and options: what text and `off` become."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Config, ConfigError
from depinmesh.cli import main
from depinmesh.registry import HttpRegistry, StaticRegistry
from tests.configs import KEY, OTHER, key_file, yaml

if TYPE_CHECKING:
    from pathlib import Path

    from depinmesh.errors import ConfigProblem

SOLANA = "type: solana, rpc: https://rpc.example, registry: FLE6aWnEhSqVeyUHzpkHmaxhPJEJj61foYqkL9z1qJpL"
URLS = ["https://a.example/w", "https://b.example/w"]


def registry(folder: Path, arguments: str) -> Any:
    """Return the registry that a file with these arguments makes."""
    return Config.load(yaml(folder, f"authorized_wallets: {{{arguments}}}"), private_key=KEY).authorized_wallets


def urls(made: Any) -> list[str]:
    return [endpoint.url for endpoint in made._endpoints._endpoints]


def refused(folder: Path, arguments: str) -> ConfigProblem:
    with pytest.raises(ConfigError) as caught:
        registry(folder, arguments)
    (problem,) = caught.value.errors
    return problem


@pytest.mark.parametrize("by_variable", [True, False], ids=["variable", "option"])
@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("type: file, path: wallets.txt", ("path",)),
        ("type: cached, path: kept.json, source: {type: file, path: wallets.txt}", ("source", "path")),
    ],
    ids=["registry", "nested"],
)
def test_each_path_starts_from_where_it_was_given(
    arguments: str,
    path: tuple[str, ...],
    by_variable: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Those of the file from its folder, those of variables and options from the working directory."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, wallet in ((here, OTHER.wallet), (there, KEY.wallet)):
        folder.mkdir()
        (folder / "wallets.txt").write_text(wallet)
        (folder / "new.txt").write_text(wallet)
    monkeypatch.chdir(here)
    key_file(there)
    command = ["registry", "list", "-c", str(yaml(there, f"key_file: node.key\nauthorized_wallets: {{{arguments}}}"))]
    assert main(command) == 0
    assert capsys.readouterr().out.split() == [KEY.wallet]
    if by_variable:
        monkeypatch.setenv("__".join(["DEPINMESH_AUTHORIZED_WALLETS", *path]).upper(), "new.txt")
    else:
        command += ["--set", f"{'.'.join(['authorized_wallets', *path])}=new.txt"]
    assert main(command) == 0
    assert capsys.readouterr().out.split() == [OTHER.wallet]
    assert not (here / "kept.json").exists()


@pytest.mark.parametrize(
    "text", ["https://a.example/w,https://b.example/w", " https://a.example/w , https://b.example/w "]
)
def test_a_list_in_a_variable_is_separated_by_commas(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPINMESH_AUTHORIZED_WALLETS__URLS", text)
    assert urls(registry(tmp_path, "type: http")) == URLS


@pytest.mark.parametrize(
    ("sources", "wallets"),
    [(f"{KEY.wallet},{OTHER.wallet}", {KEY.wallet, OTHER.wallet}), (KEY.wallet, {KEY.wallet})],
)
async def test_the_sources_of_a_combined_registry_in_a_variable(
    sources: str, wallets: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPINMESH_AUTHORIZED_WALLETS__SOURCES", sources)
    async with registry(tmp_path, "type: any_of") as made:
        assert set((await made.wallets()).wallets) == wallets


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("cdn.example", {"cdn.example"}),
        ("'cdn.example, CDN2.example'", {"cdn.example", "cdn2.example"}),
    ],
)
def test_one_text_is_a_list_of_one(given: str, hosts: set[str], tmp_path: Path) -> None:
    made = registry(tmp_path, f"type: http, urls: https://a.example/w, redirect_hosts: {given}")
    assert urls(made) == URLS[:1]
    assert made._fetcher._redirect_hosts == hosts


def test_one_text_is_a_list_of_one_in_code_too() -> None:
    assert HttpRegistry(URLS, redirect_hosts="cdn.example")._fetcher._redirect_hosts == {"cdn.example"}


async def test_lists_of_wallets_and_nodes_as_text(tmp_path: Path) -> None:
    entry = f"{OTHER.wallet}@node.example"
    made = registry(tmp_path, f"type: static, wallets: '{KEY.wallet},{OTHER.wallet}', bootstrap_nodes: {entry}")
    assert type(made) is StaticRegistry
    assert set((await made.wallets()).wallets) == {KEY.wallet, OTHER.wallet}
    assert len(await made.bootstrap_nodes()) == 1


@pytest.mark.parametrize(("given", "listing"), [("off", "off"), ("'off'", "'off'"), ("none", "true"), ("''", "true")])
def test_off_is_nothing_where_nothing_is_allowed(given: str, listing: str, tmp_path: Path) -> None:
    """And a flag where a flag is meant."""
    pytest.importorskip("solana")
    made = registry(tmp_path, f"{SOLANA}, quic_port: {given}, websocket: {given}, listing: {listing}")
    assert made._ports == (None, 4002)
    assert made._websockets == ()
    assert (made.wallets is None) == (listing != "true")


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("type: http, urls: https://a.example, timeout: on", "timeout"),
        ("type: http, urls: off", "urls"),
        ("type: http, urls: https://a.example, ca_file: yes", "ca_file"),
        ("type: file, path: no", "path"),
    ],
)
def test_a_flag_where_none_is_meant_is_refused(arguments: str, path: str, tmp_path: Path) -> None:
    problem = refused(tmp_path, arguments)
    assert (problem.path, problem.value) == (f"authorized_wallets.{path}", str(path in ("timeout", "ca_file")))
    assert problem.reason == "is a flag, which this argument does not take"
    assert problem.source is not None


@pytest.mark.parametrize(
    ("arguments", "path", "reason"),
    [
        ("type: logged, source: [], logger: fleet", "logger", "is not of the form module:name"),
        ("type: logged, source: [], logger: 5", "logger", "is no logger"),
        ("type: logged, source: [], logger: 'depinmesh:Wallet'", "logger", "is no logger"),
        ("type: solana, rpc: https://rpc.example, rule: mine", "rule", "is not of the form module:name"),
        ("type: solana, rpc: https://rpc.example, rule: 'depinmesh:Wallet'", "rule", "is no rule"),
        ("type: any_of, sources: [{type: logged, source: [], logger: x}]", "sources[0].logger", "is not of the form"),
        (f"{SOLANA}, commitment: finalised", "commitment", "is none that Solana knows"),
        (f"{SOLANA}, minimum: 2", "minimum", "belongs to mint"),
        ("type: solana, rpc: https://rpc.example, mint: x, entries: both", "entries", "belongs to registry"),
        ("type: solana, rpc: https://rpc.example, mint: x, program: x", "program", "belongs to registry"),
    ],
)
def test_what_is_none_or_would_have_no_effect_is_refused(
    arguments: str, path: str, reason: str, tmp_path: Path
) -> None:
    if "solana" in arguments:
        pytest.importorskip("solana")
    problem = refused(tmp_path, arguments)
    assert problem.path == f"authorized_wallets.{path}"
    assert reason in problem.reason


def test_a_logger_and_a_rule_are_named_as_objects(tmp_path: Path) -> None:
    (tmp_path / "of_ours.py").write_text(
        "import logging\n"
        "class Rule:\n"
        "    minimum, data_slice = 1, None\n"
        "    queries = decode = addresses = lambda *_: []\n"
        "class log: fleet, rule = logging.getLogger('fleet'), Rule()\n"
    )
    made = registry(tmp_path, "type: logged, source: [], logger: 'of_ours:log.fleet'")
    assert made._log is logging.getLogger("fleet")
    pytest.importorskip("solana")
    made = registry(tmp_path, "type: solana, rpc: https://rpc.example, rule: 'of_ours:log.rule'")
    assert made._rule.minimum == 1
