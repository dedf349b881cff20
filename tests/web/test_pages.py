"""docs/api.md and docs/errors.md: nothing is missing, in either language."""

from __future__ import annotations

import re
from typing import Literal

import pytest

from datingtoday.cli.generated.api_page import api_page, product_routes
from datingtoday.cli.generated.errors_page import errors_page
from datingtoday.protocol.errors import AppError

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_has_message_cause_and_cure(language: Language) -> None:
    page = errors_page(language)
    assert len(AppError.registry) > 15
    for (code, status), cls in AppError.registry.items():
        anchor = f"{code}" if status == 200 else f"http-{status}-{code}"
        section = page.split(f'<a id="{anchor}"></a>', 1)[1].split("<a id=", 1)[0]
        assert cls.cause.within(language) in section
        assert cls.cure.within(language) in section
        for name, field in cls.data_fields.items():
            assert f"`{name}`" in section
            assert field.about.within(language) in section
        assert f"(#{anchor})" in page


def test_messages_exist_in_both_languages() -> None:
    for cls in AppError.registry.values():
        assert re.search(r"[\u4e00-\u9fff]", cls.zh), cls
        assert not re.search(r"[\u4e00-\u9fff]", cls.en), cls
        assert set(re.findall(r"{(\w+)}", cls.en)) == set(re.findall(r"{(\w+)}", cls.zh)), cls


def test_every_error_of_the_contract_says_where_it_comes_from() -> None:
    """An error that no endpoint declares in `raises` is a fault of the declarations, or nobody's any more."""
    page = errors_page("en")
    for code, status in AppError.registry:
        anchor = f"{code}" if status == 200 else f"http-{status}-{code}"
        section = page.split(f'<a id="{anchor}"></a>', 1)[1].split("<a id=", 1)[0]
        assert "- Where: " in section, f"code {code}, HTTP {status}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_endpoint_and_parameter_is_there(language: Language) -> None:
    page = api_page(language)
    for route in product_routes():
        assert f"`{route.method} {route.path}`" in page
        assert route.endpoint.summary.within(language) in page
        if route.endpoint.params is not None and route.is_api:
            section = page.split(f"### `{route.method} {route.path}`", 1)[1].split("\n### ", 1)[0]
            for name, field in route.endpoint.params.load_fields.items():
                assert f"| `{field.data_key or name}` |" in section


@pytest.mark.parametrize("language", LANGUAGES)
def test_links_lead_somewhere(language: Language) -> None:
    page = api_page(language)
    for target in re.findall(r"\]\(#([^)]+)\)", page):
        assert f'<a id="{target}"></a>' in page
    errors = errors_page(language)
    for target in re.findall(r"\]\(errors(?:\.zh-CN)?\.md#([^)]+)\)", page):
        assert f'<a id="{target}"></a>' in errors
