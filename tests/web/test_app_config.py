"""`app/config`."""

from __future__ import annotations

import time
from typing import Any

from datingtoday.profiles.schemas import UpdateParams
from datingtoday.safety.schemas import ReportParams
from datingtoday.web.schemas import AppConfigSchema
from tests.plugins.api import Api


def test_it_is_public_and_has_its_shape(api: Api) -> None:
    told = api.get("/api/app/config").data
    assert AppConfigSchema().validate(told) == {}
    assert set(told) == set(AppConfigSchema().fields)
    assert abs(told["server_time_ms"] - time.time() * 1000) < 60_000
    assert told["min_client_version"] == "0"


def test_what_it_names_is_what_the_endpoints_take(api: Api) -> None:
    told = api.get("/api/app/config").data
    fields: dict[str, Any] = dict(UpdateParams().fields)
    for name, options in told["enumerations"].items():
        assert [option["value"] for option in options] == list(fields[name].inner.names)
        assert all(option["en"] and option["zh"] for option in options)
    reason: Any = ReportParams().fields["reason"]
    assert [option["value"] for option in told["report_reasons"]] == list(reason.names)
    assert told["limits"]["height_most_cm"] == fields["height"].inner.most


def test_the_settings_name_the_oldest_client(app_with: Any) -> None:
    assert app_with(APP_MIN_CLIENT_VERSION="2.10").get("/api/app/config").data["min_client_version"] == "2.10"
