"""Logs carry nothing personal, and what an operator needs stays readable."""

from __future__ import annotations

import pytest

from datingtoday.infra.logs import hide_personal_data


def hidden(**record: object) -> dict[str, object]:
    return hide_personal_data(None, "info", dict(record))


@pytest.mark.parametrize(
    "text",
    [
        "18922986865",
        "+8618922986865",
        "INSERT ... ('+8618922986865', 'x')",
        "phone=18922986865&code=1",
        "x18922986865",
    ],
)
def test_phone_numbers_are_masked_in_any_text(text: str) -> None:
    shown = str(hidden(reason=text)["reason"])
    assert "18922986865" not in shown
    assert "<number>" in shown or "phone=***" in shown


@pytest.mark.parametrize("token", ["575f680ddbd0d494a1b5fad8497293d2", "ab" * 32])
def test_tokens_and_their_hashes_are_masked(token: str) -> None:
    assert token not in str(hidden(exception=f"... token_hash = '{token}' ...")["exception"])


@pytest.mark.parametrize("key", ["token", "sign", "appsecret", "phone", "password"])
def test_telling_keys_hide_their_value_whatever_it_is(key: str) -> None:
    assert hidden(**{key: "short"}) == {key: "***"}


def test_what_an_operator_needs_stays() -> None:
    record = {
        "event": "sms_sent",
        "request_id": "86fd7c6acd02d55386fd7c6acd02d553",
        "message_id": "900619746936498440",
        "duration_ms": 12.5,
        "user_id": 100785,
        "path": "/api/auth/login",
    }
    assert hidden(**record) == record
