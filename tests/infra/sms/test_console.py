"""The provider of developers: the one place where a code is written in the clear."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from datingtoday.infra.sms.console import ConsoleSms
from datingtoday.infra.sms.provider import SmsFailed
from tests.infra.sms.conftest import CODE, PHONE


@pytest.mark.parametrize(("ttl_s", "valid"), [(300, "5 min"), (90, "90 s")])
def test_prints_one_line_on_stdout_and_nothing_in_the_logs(
    capfd: pytest.CaptureFixture[str], logged: list[Any], ttl_s: int, valid: str
) -> None:
    receipt = ConsoleSms().send_code(PHONE, CODE, purpose="login", ttl_s=ttl_s)
    # Read here: what is left for the guard of conftest.py must be free of the code.
    out, err = capfd.readouterr()
    assert out == f"SMS to {PHONE}: login code {CODE} (valid {valid})\n"
    assert err == ""
    assert (receipt.provider, receipt.message_id) == ("console", None)
    (event,) = logged
    assert (event["event"], event["provider"], event["purpose"]) == ("sms_sent", "console", "login")


def test_a_terminal_that_is_gone_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(SmsFailed) as caught:
        ConsoleSms().send_code(PHONE, CODE, purpose="login", ttl_s=300)
    assert caught.value.reason == "unexpected.BrokenPipeError"
    assert CODE not in repr(caught.value)


def test_arguments_are_checked_here_too() -> None:
    with pytest.raises(ValueError, match="phone must be"):
        ConsoleSms().send_code("18922986865", CODE, purpose="login", ttl_s=300)
