"""Notifications of the sandbox: every field missing, doubled or of another type, signed rightly, changes nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datingtoday.infra.db import DatabaseDown
from datingtoday.infra.payments.sandbox import sign_notice
from tests.plugins.api import Answer, Api
from tests.profiles.factories import make_user
from tests.vip.purchases import (
    NOTIFY,
    grants_of,
    make_order,
    notify,
    paid_at_provider,
    pay,
    sandbox_of,
    send_notice,
    state_of,
)

NOW = datetime.now(UTC)
FIELDS = ("notice_id", "kind", "trade_no", "transaction_id", "amount_fen", "currency", "refunded_fen", "at")
BAD: list[Any] = [None, "", "x" * 200, "ü", "\x00", -1, 1.5, 2**60, True, [], {}, [1], {"a": 1}]


def signed(api: Api, body: bytes, now: datetime | None = None) -> Answer:
    return send_notice(api, sign_notice(sandbox_of(api)._secret, body, now or datetime.now(UTC)), body)


def told_of(api: Api, trade: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(sandbox_of(api).notice(trade, datetime.now(UTC))[1])
    return told


@pytest.mark.parametrize("field", FIELDS)
def test_every_field(api: Api, field: str) -> None:
    user = make_user(api)
    order = make_order(api, user)
    told = told_of(api, paid_at_provider(api, order))
    good = json.dumps(told)
    bodies = [json.dumps({**told, field: value}) for value in BAD]
    bodies.append(json.dumps({name: value for name, value in told.items() if name != field}))
    bodies.append(f'{{"{field}": {json.dumps(told[field])}, {good[1:]}')
    for body in bodies:
        if json.loads(body).get(field) == told[field] and body.count(f'"{field}"') == 1:
            continue
        if field in ("notice_id", "transaction_id", "currency", "kind", "trade_no") and "\\u0000" in body:
            continue
        answer = signed(api, body.encode())
        assert (answer.status, answer.json["code"]) == (400, "FAIL"), body
    assert (state_of(api, user, order), grants_of(api, user)) == ("unpaid", [])
    assert signed(api, good.encode()).status == 200
    assert state_of(api, user, order) == "paid"


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 1}, {"amount_fen": 0}, {"amount_fen": 3001}, {"currency": "USD"}, {"currency": "cny"},
        {"trade_no": "20260101000000000000000000"}, {"trade_no": "' OR 1=1"}, {"kind": "paid "}, {"kind": "closed"},
    ],
)  # fmt: skip
def test_what_does_not_fit_the_order(api: Api, change: dict[str, Any]) -> None:
    user = make_user(api)
    order = make_order(api, user)
    told = told_of(api, paid_at_provider(api, order))
    assert signed(api, json.dumps({**told, **change}).encode()).status == 400
    assert (state_of(api, user, order), grants_of(api, user)) == ("unpaid", [])


def test_a_refund_in_another_currency_takes_nothing_back(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    trade = sandbox_of(api).give_back(order["trade_no"], None, datetime.now(UTC))
    assert trade is not None
    _, body = sandbox_of(api).notice(trade, datetime.now(UTC), is_refund=True)
    told = json.loads(body)
    assert signed(api, json.dumps({**told, "currency": "USD"}).encode()).status == 400
    assert state_of(api, user, order) == "paid"
    assert signed(api, body).status == 200
    assert state_of(api, user, order) == "refunded"


def test_a_transaction_pays_one_order(api: Api) -> None:
    user = make_user(api)
    first, second = make_order(api, user), make_order(api, user)
    trade = paid_at_provider(api, first)
    notify(api, trade)
    told = told_of(api, paid_at_provider(api, second))
    stolen = {**told, "transaction_id": trade.transaction_id, "notice_id": "stolen"}
    assert signed(api, json.dumps(stolen).encode()).status == 400
    assert state_of(api, user, second) == "unpaid"


@pytest.mark.parametrize("age_s", [301, 86_400, -360])
def test_an_old_one_is_refused(api: Api, age_s: int) -> None:
    user = make_user(api)
    order = make_order(api, user)
    trade = paid_at_provider(api, order)
    assert notify(api, trade, datetime.now(UTC) - timedelta(seconds=age_s)).status == 400
    assert state_of(api, user, order) == "unpaid"
    assert notify(api, trade, datetime.now(UTC) - timedelta(seconds=240 if age_s > 0 else -290)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sandbox-timestamp": "1", "sandbox-signature": ""},
        {"sandbox-timestamp": "x", "sandbox-signature": "0" * 64},
        {"sandbox-timestamp": "１", "sandbox-signature": "0" * 64},
        {"sandbox-timestamp": "9" * 30, "sandbox-signature": "0" * 64},
        {"sandbox-signature": "0" * 64},
    ],
)
def test_without_a_right_signature(api: Api, headers: dict[str, str]) -> None:
    user = make_user(api)
    order = make_order(api, user)
    _, body = sandbox_of(api).notice(paid_at_provider(api, order), datetime.now(UTC))
    headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    assert send_notice(api, headers, body).status == 400
    assert state_of(api, user, order) == "unpaid"


def test_the_signature_covers_time_and_body(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    headers, body = sandbox_of(api).notice(paid_at_provider(api, order), datetime.now(UTC))
    later = {**headers, "sandbox-timestamp": str(int(headers["sandbox-timestamp"]) + 1)}
    assert send_notice(api, later, body).status == 400
    assert send_notice(api, headers, body + b" ").status == 400
    assert send_notice(api, headers, body).status == 200


def test_success_is_answered_after_the_commit_only(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(api)
    order = make_order(api, user)
    trade = paid_at_provider(api, order)

    def fail(*_: object, **__: object) -> None:
        raise DatabaseDown("gone")

    with monkeypatch.context() as patched:
        patched.setattr(api.parts.base.database, "retried", fail)
        assert notify(api, trade).status == 503
    assert state_of(api, user, order) == "unpaid"
    assert notify(api, trade).status == 200


def test_unknown_channels_and_methods(api: Api) -> None:
    for channel in ("paypal", "wechat", "alipay", "apple", "sandbox%2f", "%00"):
        assert api.send("POST", f"/api/pay/notify/{channel}", data=b"{}").status == 404
    assert api.send("GET", NOTIFY).status == 405


def test_a_notification_of_an_account_that_left_is_given_back(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    trade = paid_at_provider(api, order)
    api.post("/api/user/delete", user, code=api.new_code(user.phone, "delete")).data  # noqa: B018
    assert notify(api, trade).status == 200
    assert grants_of(api, user) == []
    now = datetime.now(UTC) + timedelta(seconds=1)
    while api.parts.vip.jobs.refund(now):
        pass
    found = sandbox_of(api).look_up(order["trade_no"])
    assert found is not None and found.state == "refunded"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=10), children, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200)
    | st.dictionaries(st.sampled_from(FIELDS), JSON).map(lambda it: json.dumps(it).encode())
)
def test_any_signed_body_is_answered(api: Api, body: bytes) -> None:
    assert signed(api, body).status == 400


def test_a_paid_order_stays_so(api: Api) -> None:
    user = make_user(api)
    order = make_order(api, user)
    pay(api, order)
    told = told_of(api, sandbox_of(api).look_up(order["trade_no"]))
    assert signed(api, json.dumps({**told, "notice_id": "other", "amount_fen": 1}).encode()).status == 400
    assert signed(api, json.dumps({**told, "notice_id": "other"}).encode()).status == 200
    assert len(grants_of(api, user)) == 1
