"""The files in `deploy/`: each is read by a parser of its kind, and names what there is."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from depinmesh import Config, Keypair
from depinmesh._loading.environment import variable_of
from depinmesh.options import Listen

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "depinmesh.service"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
KUBERNETES = DEPLOY / "kubernetes"

CLOSE = 10
"""Seconds that a close may take, by default."""
PAGES = {"/livez", "/readyz", "/startupz"}
PORTS = {Listen().quic_port, Listen().tcp_port, 8081}


def check_command(arguments: list[str]) -> None:
    """Let the real command read the arguments; a file that is not there is what it stumbles over last."""
    run = subprocess.run(
        [sys.executable, "-m", "depinmesh", *arguments], capture_output=True, text=True, timeout=25, check=False
    )
    assert run.returncode == 2, run.stderr
    assert "/etc/depinmesh/node.yaml" in run.stderr, run.stderr


# systemd


class Unit(configparser.RawConfigParser):
    """Options of units are case-sensitive."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit() -> configparser.SectionProxy:
    """Return the service section; an option that stands there twice is an error."""
    parser = Unit(delimiters="=", comment_prefixes="#", interpolation=None)
    parser.read_string(UNIT.read_text())
    assert parser.sections() == ["Unit", "Service", "Install"]
    return parser["Service"]


def test_the_unit_runs_a_command_that_there_is() -> None:
    service = unit()
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/depinmesh")
    check_command(arguments)


def test_the_unit_is_notified_watched_and_given_time_to_close() -> None:
    service = unit()
    assert (service["Type"], service["NotifyAccess"], service["Restart"]) == ("notify", "main", "always")
    assert int(service["WatchdogSec"]) > 0
    assert int(service["TimeoutStopSec"]) > CLOSE
    credential, _, _ = service["LoadCredential"].partition(":")
    assert service["Environment"] == f"DEPINMESH_KEY_FILE=%d/{credential}"


def test_the_service_takes_its_credential_whatever_key_the_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of the file is for commands beside the service, and may be one that the service cannot read."""
    assert "key_file: key.json" in UNIT.read_text()
    (tmp_path / "node.yaml").write_text("key_file: key.json\nauthorized_wallets: []\n")
    key = Keypair.generate()
    credential = tmp_path / "credential"
    credential.touch(mode=0o600)
    credential.write_text(key.to_base58())
    variable, _, _ = unit()["Environment"].partition("=")
    assert variable == variable_of("key_file")
    monkeypatch.setenv(variable, str(credential))
    assert Config.load(tmp_path / "node.yaml").private_key == key
    monkeypatch.delenv(variable)
    credential.rename(tmp_path / "key.json")
    assert Config.load(tmp_path / "node.yaml").private_key == key


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/depinmesh/bin/depinmesh", sys.executable))
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=25, check=False
    )
    assert [line for line in run.stderr.splitlines() if UNIT.name in line] == []
    copy.write_text(copy.read_text().replace("WatchdogSec=30", "WatchdogSec=often"))  # it would find one
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=25, check=False
    )
    assert "often" in run.stderr


# Containers


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#"))
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_container_runs_a_command_that_there_is_as_a_plain_user() -> None:
    known = {
        "FROM",
        "RUN",
        "COPY",
        "WORKDIR",
        "USER",
        "ENV",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    steps = instructions()
    assert {word for word, _ in steps} <= known
    last = dict(steps)  # of each kind the last one counts
    assert json.loads(last["ENTRYPOINT"]) == ["depinmesh"]
    check_command(json.loads(last["CMD"]))
    assert last["USER"] == "10001:10001"
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert {int(port.split("/")[0]) for port in last["EXPOSE"].split()} == PORTS
    assert "/livez" in last["HEALTHCHECK"]


def test_the_container_copies_what_there_is_and_all_of_the_workspace() -> None:
    sources: list[str] = []
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            sources += rest.split()[:-1]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    assert {member.split("/")[0] for member in manifest["members"]} <= set(sources)
    assert ".cargo" in sources  # by its flags signatures take a third less
    rust = manifest["package"]["rust-version"]
    assert f"FROM rust:{rust}-slim" in DOCKERFILE.read_text()
    for document in ("README.md", "CONTRIBUTING.md", "docs/quickstart.md"):
        assert f"Rust {rust} or newer" in (ROOT / document).read_text(encoding="utf-8")


def test_the_extras_that_are_installed_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for file in (UNIT, DOCKERFILE):
        wanted = re.findall(r"\[([a-z]+(?:,[a-z]+)+)\]", file.read_text())
        assert wanted, file
        assert {extra for one in wanted for extra in one.split(",")} <= set(extras)
        assert any("solana" in one.split(",") for one in wanted), "registries of this type need it"


def test_compose_mounts_what_there_is() -> None:
    folder = DEPLOY / "docker"
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    made_by_the_user = {"key.json"}
    for service in services.values():
        for volume in service.get("volumes", ()):
            assert (folder / volume.split(":")[0]).exists(), volume
        if "build" in service:
            context = (folder / service["build"]["context"]).resolve()
            assert context == ROOT
            assert (context / service["build"]["dockerfile"]).exists()
            assert int(service["stop_grace_period"].removesuffix("s")) > CLOSE
    assert not any((folder / name).exists() for name in made_by_the_user), "a key is in the repository"
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    assert job["job_name"] == "depinmesh"  # the alert about its absence names it
    assert job["static_configs"][0]["targets"] == ["node:8081"]


@pytest.mark.parametrize(
    "file", [DEPLOY / "docker" / "node.yaml", KUBERNETES / "node.yaml"], ids=lambda f: f.parent.name
)
def test_a_configuration_file_loads(file: Path) -> None:
    config = Config.load(file, env=False, private_key=Keypair.generate())
    assert config.database == "depin-network"


# Kubernetes


def manifests() -> dict[str, dict[str, Any]]:
    """Return the resources of the kustomization by kind."""
    root = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    found = [yaml.safe_load((KUBERNETES / name).read_text()) for name in root["resources"]]
    for generated in root["configMapGenerator"]:
        assert all((KUBERNETES / name).exists() for name in generated["files"])
    return {one["kind"]: one for one in found}


def test_the_parts_of_the_manifests_find_each_other() -> None:
    found = manifests()
    pods = found["StatefulSet"]["spec"]
    labels = pods["template"]["metadata"]["labels"]
    assert pods["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert pods["serviceName"] == found["Service"]["metadata"]["name"]
    (container,) = pods["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert set(ports.values()) == PORTS
    for port in found["Service"]["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    volumes = {volume["name"] for volume in pods["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    root = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert {image["name"] for image in root["images"]} == {container["image"]}


def test_the_pod_runs_a_command_and_probes_pages_that_there_are() -> None:
    spec = manifests()["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    check_command(container["args"])
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert set(probes.values()) == PAGES
    assert probes["liveness"] == "/livez"
    assert spec["terminationGracePeriodSeconds"] > CLOSE
    key = next(variable for variable in container["env"] if variable["name"] == "DEPINMESH_KEY_FILE")
    assert key["value"] in {mount["mountPath"] for mount in container["volumeMounts"]}
    mode = next(volume for volume in spec["volumes"] if "secret" in volume)["secret"]["defaultMode"]
    assert mode & 0o027 == 0


def test_the_addresses_of_the_machines_are_announced_when_the_lines_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (KUBERNETES / "statefulset.yaml").read_text()
    taken = re.sub(r"^( *)# (- name:|  +[a-zA-Z]+:)", r"\1\2", text, flags=re.MULTILINE)
    document = yaml.safe_load(taken)
    is_allowed(document)
    (container,) = document["spec"]["template"]["spec"]["containers"]
    (*_, address, announced) = container["env"]  # a variable can be used only below its own lines
    assert address["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"
    assert announced["name"] == variable_of("listen.announce")
    monkeypatch.setenv(announced["name"], announced["value"].replace(f"$({address['name']})", "192.0.2.1"))
    config = Config.load(KUBERNETES / "node.yaml", private_key=Keypair.generate())
    assert config.listen.announce == ("/ip4/192.0.2.1/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/4002")
    host_ports = {port["hostPort"] for port in container["ports"] if "hostPort" in port}
    assert host_ports == {config.listen.quic_port, config.listen.tcp_port}


def is_allowed(document: dict[str, Any]) -> None:
    """Hold it against the schema of the newest Kubernetes that the package knows; an unknown key is an error."""
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_schema_of_kubernetes_allows_the_manifests() -> None:
    for document in manifests().values():
        is_allowed(document)
        with pytest.raises(kubernetes_validate.ValidationError):
            is_allowed({**document, "specs": document["spec"]})


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
def test_kustomize_renders_what_the_schema_of_kubernetes_allows() -> None:
    run = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES)], capture_output=True, text=True, timeout=25, check=False
    )
    assert run.returncode == 0, run.stderr
    documents = list(yaml.safe_load_all(run.stdout))
    assert {one["kind"] for one in documents} == {"ConfigMap", "Service", "StatefulSet", "PodDisruptionBudget"}
    for document in documents:
        is_allowed(document)
