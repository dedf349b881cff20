"""Metrics of a live server, dashboard, alert rules and documentation agree with the declarations."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from click import Group
from prometheus_client.parser import text_string_to_metric_families

import datingtoday.push.metrics
import datingtoday.worker  # noqa: F401 - declares
from datingtoday.cli.generated.alert_rules import ALERTS, alerts_yaml
from datingtoday.cli.generated.dashboard import PANELS, dashboard_json
from datingtoday.cli.main import cli
from datingtoday.infra.metric_declarations import MetricDeclaration, declare, declared_metrics
from tests.cli.running_server import RunningServer
from tests.plugins.api import Api, new_phone
from tests.plugins.polling import wait_until

ROOT = Path(__file__).parents[2]
_FROM_PROMETHEUS = {"up": {"job", "instance"}}
"""Series that Prometheus itself makes."""
_OF_EVERY_SERIES = {"job", "instance"}


def by_series() -> dict[str, MetricDeclaration]:
    return {name: metric for metric in declared_metrics() for name in metric.series}


def queries() -> Iterator[tuple[str, str]]:
    """Every expression of the committed files, and its place."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((ROOT / "deploy/grafana/datingtoday.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def nodes(expression: Any) -> Iterator[Any]:
    yield expression
    for name in ("lhs", "rhs", "expr", "param", "vector_selector", "vs", "args"):
        child = getattr(expression, name, None)
        if child is not None and not isinstance(child, (str, float, int)):
            for one in child if isinstance(child, list) else [child]:
                yield from nodes(one)


def problems(query: str) -> list[str]:
    """Metrics and labels of a query that do not exist. A query that is no PromQL raises ValueError."""
    known = by_series()
    found: list[str] = []
    labels: set[str] = set(_OF_EVERY_SERIES)
    parsed = list(nodes(promql_parser.parse(query)))
    for node in parsed:
        if type(node).__name__ != "VectorSelector":
            continue
        name = node.name
        if name not in known and name not in _FROM_PROMETHEUS:
            found.append(f"no series {name}")
            continue
        own = set(known[name].labels) if name in known else set(_FROM_PROMETHEUS[name])
        own |= _OF_EVERY_SERIES | ({"le"} if name.endswith("_bucket") else set())
        labels |= own
        found += [f"{name} has no label {it.name}" for it in node.matchers.matchers if it.name not in own]
    for node in parsed:
        modifier = getattr(node, "modifier", None)
        grouped = getattr(modifier, "labels", None) or getattr(
            getattr(modifier, "matching", None), "labels", None
        )
        found += [f"no series has the label {label}" for label in grouped or () if label not in labels]
    return found


class TestRules:
    def test_every_query_is_promql_on_series_that_exist(self) -> None:
        checked = list(queries())
        assert len(checked) >= len(ALERTS) + len(PANELS)
        assert {place: found for place, query in checked if (found := problems(query))} == {}

    @pytest.mark.parametrize(
        "query",
        [
            "datingtoday_request_total",
            'datingtoday_requests_total{endpoints="/"}',
            "sum by (stat) (datingtoday_requests_total)",
            'sum(rate(datingtoday_push_total{stream="x"}[5m])) > 1',
            "max(datingtoday_worker_up) == 0 or datingtoday_nothing",
        ],
    )
    def test_the_check_finds_what_does_not_exist(self, query: str) -> None:
        assert problems(query)

    @pytest.mark.parametrize(
        "query", ["sum(", "rate(datingtoday_push_total)", "up ==", "max by (x datingtoday"]
    )
    def test_the_check_refuses_what_is_no_promql(self, query: str) -> None:
        with pytest.raises(ValueError):
            problems(query)

    def test_alerts_have_the_form_of_prometheus(self) -> None:
        rules = yaml.safe_load(alerts_yaml())["groups"][0]["rules"]
        assert len({rule["alert"] for rule in rules}) == len(rules)
        for rule in rules:
            assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
            assert re.fullmatch(r"[0-9]+[smh]", rule["for"])
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert set(rule["annotations"]) == {"summary", "summary_zh", "action", "action_zh"}
            used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
            assert used <= {label for node in [rule["expr"]] for label in re.findall(r"\w+", node)}

    def test_every_metric_is_on_the_dashboard(self) -> None:
        text = dashboard_json()
        assert [metric.name for metric in declared_metrics() if metric.name not in text] == []

    def test_actions_name_commands_that_exist(self) -> None:
        for rule in ALERTS:
            for command in re.findall(r"`datingtoday ([a-z ]+)", f"{rule.action.en} {rule.action.zh}"):
                found: Any = cli
                for word in command.split():
                    assert isinstance(found, Group), (rule.name, command)
                    found = found.get_command(None, word)  # type: ignore[arg-type]
                    assert found is not None, (rule.name, command)


class TestDeclarations:
    def test_a_name_is_taken_once_and_ours(self) -> None:
        for name in ("datingtoday_requests", "requests"):
            with pytest.raises(ValueError):
                declare(name, "gauge", en="x", zh="x")

    def test_both_languages(self) -> None:
        for metric in declared_metrics():
            assert metric.help.en and re.search(r"[\u4e00-\u9fff]", metric.help.zh), metric


class TestLiveServer:
    """All processes of `datingtoday serve`: API, push, worker."""

    def test_a_live_server_exposes_what_is_declared_and_nothing_else(self, run_folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=run_folder) as folder:
            server = RunningServer(Path(folder) / "data", "--seed", "5")
            try:
                server.wait_until_ready()
                self.check(server)
            finally:
                server.end()

    def check(self, server: RunningServer) -> None:
        declared = {metric.name: metric for metric in declared_metrics()}
        seen: dict[str, set[str]] = {}

        def has_all() -> bool:
            for family in text_string_to_metric_families(server.get("/metrics").text):
                if not family.name.startswith(("datingtoday_", "python_", "process_")):
                    raise AssertionError(family.name)
                names = {name for sample in family.samples for name in sample.labels} - {"le", "pid"}
                seen.setdefault(family.name, set()).update(names)
            return not missing()

        # Series with these labels begin with an event that does not happen here.
        rare = {
            "datingtoday_pay_notices",
            "datingtoday_push",
            "datingtoday_push_events",
            "datingtoday_sms_messages",
            "datingtoday_stream_entries",
        }

        def missing() -> set[str]:
            return set(declared) - set(seen) - rare

        wait_until(has_all, "all metrics", deadline_s=40, every_s=1)
        assert set(seen) <= set(declared)
        for name, labels in seen.items():
            assert labels <= set(declared[name].labels), name
        values = self.values(server)
        assert values["datingtoday_database_connections_max", "worker"] > 0
        assert values["datingtoday_database_connections_max", "push"] > 0
        assert values["datingtoday_part_up", "push"] == values["datingtoday_part_up", "worker"] == 1
        wait_until(lambda: 0 < self.values(server)["datingtoday_push_lag_seconds",] < 2, "a probe's way")

    @staticmethod
    def values(server: RunningServer) -> dict[tuple[str, ...], float]:
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(server.get("/metrics").text)
            for sample in family.samples
        }


class TestNumbers:
    """Numbers that only events bring about."""

    HERE = "127.0.0.1"

    def read(self, api: Api) -> dict[tuple[str, ...], float]:
        text = api.send("GET", "/metrics", address=self.HERE).body.decode()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def test_sms_that_are_sent_and_that_fail(self, api: Api) -> None:
        from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind

        def count(outcome: str) -> float:
            return self.read(api).get(("datingtoday_sms_messages_total", outcome), 0)

        before = count("sent"), count("settings")
        api.new_code(new_phone())
        api.sms.fail_with = SmsFailed("test", "isv.BALANCE", SmsFailureKind.SETTINGS)
        try:
            assert api.post("/api/auth/sendsms", phone=new_phone()).status == 503
        finally:
            api.sms.fail_with = None
        assert (count("sent"), count("settings")) == (before[0] + 1, before[1] + 1)

    def test_orders_by_state(self, api: Api) -> None:
        user = api.new_user()
        before = self.read(api).get(("datingtoday_orders_day", "sandbox", "unpaid"), 0)
        product = api.get("/api/product/list", user).data[0]
        wanted = {"productId": product["product_id"], "channel": "sandbox", "clientId": "metrics-1"}
        assert api.post("/api/order/create", user, **wanted).data
        assert self.read(api)["datingtoday_orders_day", "sandbox", "unpaid"] == before + 1

    def test_uploads_that_wait(self, api: Api) -> None:
        from datetime import UTC, datetime, timedelta

        from datingtoday.media.models import Media

        user = api.new_user()
        before = self.read(api)["datingtoday_media_waiting",]
        with api.parts.base.database.transaction() as session:
            session.add(
                Media(
                    id=f"{user.user_id:032x}",
                    user_id=user.user_id,
                    kind="image",
                    mime="image/jpeg",
                    storage_key=f"{user.user_id:032x}",
                    size_bytes=1,
                    sha256="0" * 64,
                    verdict="pending",
                    create_time=datetime.now(UTC) - timedelta(hours=2),
                )
            )
        after = self.read(api)
        assert after["datingtoday_media_waiting",] == before + 1
        assert after["datingtoday_media_waiting_seconds",] >= 7200
        with api.parts.base.database.transaction() as session:
            session.delete(session.get_one(Media, f"{user.user_id:032x}"))

    def test_the_shared_cache(self, api: Api) -> None:
        user, peer = api.new_user(), api.new_user()

        def reads(result: str) -> float:
            return self.read(api).get(("datingtoday_memory_reads_total", "redis cache", result), 0)

        api.get("/api/user/show", user, peerId=peer.user_id).data  # noqa: B018 - asserts success
        before = reads("hit"), reads("miss")
        api.get("/api/user/show", user, peerId=peer.user_id).data  # noqa: B018 - asserts success
        assert reads("hit") > before[0]
        assert reads("miss") == before[1]
        assert before[1] > 0

    def test_connections_of_the_pool(self, api: Api) -> None:
        api.new_user()
        found = self.read(api)
        assert found["datingtoday_database_connections_max", "api"] >= 1
        assert ("datingtoday_database_connections", "api", "used") in found
