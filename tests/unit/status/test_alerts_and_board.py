"""The alert rules and the board in `config/`: by Prometheus' own tool, and against the metrics that there are."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from syncd.status.metrics import metrics
from syncd.status.next_steps import NEXT_STEPS, OF_THE_READER
from tests.support.clock import BEGINNING
from tests.support.requirements import need
from tests.unit.status.test_file import full_report

CONFIG = Path(__file__).parents[3] / "config"
RULES, RULES_TEST = CONFIG / "prometheus" / "alerts.yml", CONFIG / "prometheus" / "alerts_test.yml"
BOARD: dict[str, Any] = json.loads((CONFIG / "grafana" / "syncd.json").read_text(encoding="utf-8"))
OPERATIONS = (CONFIG.parent / "docs" / "operations.md").read_text(encoding="utf-8")
METRICS = metrics(full_report(), "", BEGINNING)
KNOWN = {metric.name for metric in METRICS}
LABELS = {label for metric in METRICS for labels, _ in metric.samples for label, _ in labels} | {"instance"}
"""The last is Prometheus' own."""


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bsyncd_\w+", text))


def expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def promtool(*arguments: str | Path, folder: Path) -> str:
    need("promtool", shutil.which("promtool") is not None, "there is no promtool (Debian: prometheus)")
    done = subprocess.run(["promtool", *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_takes_the_rules_and_every_alert_is_fired_and_none_where_all_is_well() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES, folder=RULES.parent)
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST.name, folder=RULES.parent)
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    tests = re.split(r"^  - name: ", RULES_TEST.read_text(), flags=re.MULTILINE)[1:]
    assert len(alerts) > 15
    fired = {name for test in tests[1:] for name in re.findall(r"alertname: (\w+)", test) if "exp_labels:" in test}
    assert fired == alerts
    assert set(re.findall(r"alertname: (\w+)\n.*\n *exp_alerts: \[\]", tests[0])) == alerts


def test_rules_and_board_name_only_metrics_and_codes_that_there_are() -> None:
    expected = re.findall(r"^ +expr: (.*)$", RULES.read_text(), flags=re.MULTILINE)
    for expression in [*expected, *expressions()]:
        assert names_in(expression)
        assert names_in(expression) <= KNOWN, expression
        by = {label for group in re.findall(r"by \(([\w, ]+)\)", expression) for label in group.split(", ")}
        assert by | set(re.findall(r'[{,]\s*(\w+)\s*[=!]~?"', expression)) <= LABELS, expression
    assert names_in(json.dumps(BOARD)) <= KNOWN, "the lists to choose from, too"
    legends = [target["legendFormat"] for panel in BOARD["panels"] for target in panel["targets"]]
    assert {label for legend in legends for label in re.findall(r"{{(.*?)}}", legend)} <= LABELS
    codes = {code for text in expected for match in re.findall(r'code=~?"([^"]+)"', text) for code in match.split("|")}
    ours = NEXT_STEPS.keys() - OF_THE_READER
    assert [code for code in codes if not any(re.fullmatch(code, known) for known in ours)] == []


def test_every_metric_is_on_the_page_and_the_page_names_no_other() -> None:
    assert {name for name in names_in(OPERATIONS) if f"`{name}" in OPERATIONS} == KNOWN


def test_every_reason_is_on_the_page_with_its_next_step() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:[^|]+) \| (.+) \|$", OPERATIONS, flags=re.MULTILINE))
    assert {code: step for code, step in rows.items() if code in NEXT_STEPS} == NEXT_STEPS


def test_every_alert_is_on_the_page() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert set(re.findall(r"`(Syncd\w+)`", OPERATIONS)) == alerts


def test_promtool_reads_every_query_of_the_board(tmp_path: Path) -> None:
    rules = [f"      - record: board:query{number}\n        expr: {json.dumps(text)}" for number, text in enumerate(expressions())]
    text = "groups:\n  - name: board\n    rules:\n" + "\n".join(rules) + "\n"
    (tmp_path / "board.yml").write_text(text.replace("$instance", ".*"), encoding="utf-8")
    assert f"{len(rules)} rules found" in promtool("check", "rules", "board.yml", folder=tmp_path)


def lost(there: Any, here: Any, path: str = "") -> list[str]:
    """What one document has and the other has not, or has otherwise; more is no loss."""
    if isinstance(there, dict) and isinstance(here, dict):
        return [one for key, value in there.items() for one in lost(value, here.get(key), f"{path}.{key}")]
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        return [one for at, pair in enumerate(zip(there, here, strict=True)) for one in lost(*pair, f"{path}[{at}]")]
    return [] if there == here else [path]


def as_grafana_has_it(board: dict[str, Any]) -> dict[str, Any]:
    """The board read into Grafana's own types, and written from them: what they do not know is not there any more."""
    cog = "grafana_foundation_sdk.cog"
    importlib.import_module(f"{cog}.plugins").register_default_plugins()
    dashboard = importlib.import_module("grafana_foundation_sdk.models.dashboard").Dashboard.from_json(board)
    known = importlib.import_module(f"{cog}.runtime").Runtime().panelcfg_variants
    assert {panel["type"] for panel in board["panels"]} <= known.keys()
    document: dict[str, Any] = json.loads(importlib.import_module(f"{cog}.encoder").JSONEncoder().encode(dashboard))
    return document


def test_grafanas_own_types_know_all_that_is_on_the_board() -> None:
    assert lost(BOARD, as_grafana_has_it(BOARD)) == []


@pytest.mark.parametrize(
    ("sound", "wrong"),
    [('"gridPos"', '"gridPosition"'), ('"expr"', '"query"'), ('"steps"', '"levels"'), ('"includeAll"', '"all"'), ('"unit"', '"units"')],
)
def test_a_name_that_grafana_does_not_know_is_noticed(sound: str, wrong: str) -> None:
    text = json.dumps(BOARD)
    assert sound in text
    board = json.loads(text.replace(sound, wrong, 1))
    assert lost(board, as_grafana_has_it(board)) != []


def test_the_panels_of_the_board_lie_side_by_side() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        for cell in [(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]:
            assert taken.setdefault(cell, panel["title"]) == panel["title"]
            assert cell[0] < 24
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
