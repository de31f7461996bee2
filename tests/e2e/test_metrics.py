"""Metrics as Prometheus and Grafana see them: names, the alert rules, the dashboard, and their documentation."""

import json
import os
import pathlib
import re
import subprocess

import pytest
from harness import DEADLINE_SECONDS, ROOT

ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/barista.json"
README = ROOT / "broker/server/README.md"
# tests/run.sh unpacks it; the package is not installed, since it would start a server.
PROMTOOL = pathlib.Path(os.environ.get("PROMTOOL", ROOT / "build/promtool/usr/bin/promtool"))
NAME = re.compile(r"\bbarista_[a-z_]+\b")


def promtool(*arguments, stdin=""):
    return subprocess.run(
        [PROMTOOL, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )


@pytest.fixture(scope="module")
def scrape(broker):
    """A scrape of a broker on disk that has done something."""
    broker.ok("queue", "create", "metrics")
    broker.ok("send", "metrics", "espresso")
    broker.ok("receive", "metrics", "--delete")
    status, text = broker.http("/metrics")
    assert status == 200
    return text


@pytest.fixture(scope="module")
def families(scrape):
    """Type by name."""
    return dict(line.split()[2:4] for line in scrape.splitlines() if line.startswith("# TYPE "))


def series_of(families):
    """The names that an expression may use."""
    names = set()
    for name, kind in families.items():
        names |= {name + part for part in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def expressions(node):
    """Every PromQL expression and variable query in a dashboard."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def names_in(texts):
    return {name for text in texts for name in NAME.findall(text)}


def test_exposition_is_clean(scrape):
    checked = promtool("check", "metrics", stdin=scrape)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_alert_rules_are_valid():
    checked = promtool("check", "rules", ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.search(r"SUCCESS: [1-9]\d* rules found", checked.stdout), checked.stdout


def test_alerts_use_metrics_that_exist(families):
    used = names_in(re.sub(r"^\s*(#|summary:|description:).*$", "", ALERTS.read_text(), flags=re.MULTILINE).splitlines())
    assert used
    assert used <= series_of(families), used - series_of(families)


def test_dashboard_uses_metrics_that_exist_and_shows_all_of_them(families):
    used = names_in(expressions(json.loads(DASHBOARD.read_text())))
    assert used <= series_of(families), used - series_of(families)
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert set(families) <= shown, set(families) - shown


def test_panels_do_not_overlap():
    taken = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_metric_is_documented(families):
    documented = set(NAME.findall(README.read_text()))
    assert set(families) <= documented, set(families) - documented
    assert documented <= set(families), documented - set(families)


def test_queues_are_shown_on_demand(broker, scrape):
    status, text = broker.http("/metrics?queue=metrics")
    assert status == 200
    assert 'barista_queue_messages_visible{queue="metrics"} 0' in text
    assert broker.http("/metrics?queue=nowhere")[0] == 404


def test_a_trace_goes_from_the_sender_to_the_receiver(broker, queue):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    broker.ok("send", queue, "espresso", "--traceparent", parent, "--tracestate", "vendor=42")
    (message,) = broker.ok("receive", queue, "--delete")
    assert message["attributes"] == {
        "traceparent": {"type": "String", "value": parent},
        "tracestate": {"type": "String", "value": "vendor=42"},
    }
