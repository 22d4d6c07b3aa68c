"""The dashboard and the alert rules ask for metrics that there are, and each alert has its page in the runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from depinmesh.catalogue import BY_NAME, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "depinmesh.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"

OF_PROMETHEUS = {"instance", "job", "le"}
OF_THE_PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total", "up"}
_METRIC = re.compile(r"\b(depinmesh_\w+|process_\w+|up)\b(?:\{([^}]*)\})?(\[)?")
_BY = re.compile(r"\bby \(([^)]*)\)")


def alerts() -> list[dict[str, Any]]:
    """Return the rules."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def queries() -> Iterator[tuple[str, str]]:
    """Return every query with the name of its panel or alert."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in alerts():
        yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_asks_for_what_there_is(where: str, query: str) -> None:
    assert query.count("(") == query.count(")"), where
    found = list(_METRIC.finditer(query))
    assert found, where
    known = set(OF_PROMETHEUS)
    for metric in found:
        name, selector, is_range = metric.groups()
        if name in OF_THE_PROCESS:
            continue
        bare = name.removeprefix(PREFIX)
        of_histogram = re.sub(r"_(bucket|sum|count)$", "", bare)
        info = BY_NAME.get(bare) or BY_NAME[of_histogram]
        assert (info.kind == "histogram") == (bare != info.name), f"{where}: {name}"
        assert (info.kind == "gauge") == (is_range is None), f"{where}: {name} is a {info.kind}"
        known |= set(info.labels)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector or ""):
            assert label in known, f"{where}: {label}"
    for labels in _BY.findall(query):
        assert {label.strip() for label in labels.split(",")} <= known, where


@pytest.mark.parametrize("refresh", [30, 120, 300, 840])
def test_the_alert_for_a_failing_registry_lasts_as_long_as_the_outage(refresh: int) -> None:
    """Whatever `gate.refresh_interval` is, by which there are few calls or many; and one failure is none."""
    (rule,) = (rule["expr"] for rule in alerts() if rule["alert"] == "DepinmeshRegistryFailing")
    outage, day = 7200, 86_400
    failed, pause = [1], 1
    while failed[-1] + pause < outage:
        failed.append(failed[-1] + pause)
        pause = min(2 * pause, refresh)
    good = [*range(0, -day, -refresh), *range(failed[-1] + pause, day, refresh)]

    def fires(now: int, failed: list[int], good: list[int]) -> bool:
        calls = {"failures_total": failed, "call_seconds_count": failed + good}

        def increase(match: re.Match[str]) -> str:
            name, minutes = match.groups()
            return str(sum(now - 60 * int(minutes) < ended <= now for ended in calls[name]))

        return bool(eval(re.sub(r"increase\(depinmesh_registry_(\w+)\[(\d+)m\]\)", increase, rule)))

    assert all(fires(now, failed, good) for now in range(60, outage, 15))
    assert not any(fires(now, failed, good) for now in (0, good[-1]))
    assert not any(fires(now, [1], [*good, 2]) for now in range(0, refresh, 15))


def test_the_dashboard_needs_no_other_machine() -> None:
    text = DASHBOARD.read_text()
    assert "http" not in text
    panels = [panel for panel in json.loads(text)["panels"] if panel["type"] != "row"]
    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(set(places)) == len(panels), "two panels in one place"
    assert len({panel["id"] for panel in json.loads(text)["panels"]}) == len(json.loads(text)["panels"])


def test_each_alert_has_its_page_in_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert re.fullmatch(r"\d+m", rule["for"])
