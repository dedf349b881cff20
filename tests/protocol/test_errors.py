"""Errors: each class has a code of its own, and words in both languages."""

from __future__ import annotations

import pytest

from datingtoday.protocol.errors import AppError


def test_two_errors_of_one_code_are_refused_when_they_are_declared() -> None:
    words = {"en": "a", "zh": "b", "cause": "c", "cure": "d"}
    of_lists = {"code": 990, **words}
    try:
        first = type("OneError", (AppError,), of_lists)
        # A module that is loaded again declares the same one again.
        type("OneError", (AppError,), of_lists)
        with pytest.raises(TypeError, match="OtherError and OneError share code 990, HTTP 200"):
            type("OtherError", (AppError,), of_lists)
        type("OtherError", (AppError,), {"http_status": 418, **of_lists})
        assert AppError.registry[990, 200] is first
    finally:
        for key in ((990, 200), (990, 418)):
            AppError.registry.pop(key, None)


@pytest.mark.parametrize("missing", ["en", "zh", "cause", "cure"])
def test_an_error_says_everything(missing: str) -> None:
    words = dict.fromkeys(("en", "zh", "cause", "cure"), "x") | {missing: None}
    try:
        with pytest.raises(TypeError, match=f"must say {missing}"):
            type("SilentError", (AppError,), {"code": 991, **words})
    finally:
        AppError.registry.pop((991, 200), None)
