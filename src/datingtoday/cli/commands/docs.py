"""`datingtoday docs`: files of the repository that are made from the code.

To add one, write a function that returns its text, import what it needs inside the function, and put it into
`GENERATORS`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import click

from datingtoday.cli.deploying.files import TEMPLATES as DEPLOYMENT_FILES
from datingtoday.cli.main import EXIT_FAILED
from datingtoday.cli.terminal import in_language
from datingtoday.infra.checkout import PACKAGE, checkout

ROOT = PACKAGE.parents[1]


def _config_example() -> str:
    from datingtoday.cli.generated.configuration_page import example_ini

    return example_ini()


def _configuration_en() -> str:
    from datingtoday.cli.generated.configuration_page import configuration_page

    return configuration_page("en")


def _configuration_zh() -> str:
    from datingtoday.cli.generated.configuration_page import configuration_page

    return configuration_page("zh")


def _mysql_schema() -> str:
    from datingtoday.infra.migrations import mysql_script

    return mysql_script()


def _api(language: Literal["en", "zh"]) -> str:
    from datingtoday.cli.generated.api_page import api_page

    return api_page(language)


def _errors(language: Literal["en", "zh"]) -> str:
    from datingtoday.cli.generated.errors_page import errors_page

    return errors_page(language)


def _openapi() -> str:
    from datingtoday.cli.generated.openapi_page import openapi_page

    return openapi_page()


def _asyncapi() -> str:
    from datingtoday.cli.generated.asyncapi_page import asyncapi_page

    return asyncapi_page()


def _deployment(path: str) -> str:
    from datingtoday.cli.deploying.files import example

    return example(path)


def _postman_collection() -> str:
    from datingtoday.cli.generated.postman_files import collection

    return collection()


def _postman_environment() -> str:
    from datingtoday.cli.generated.postman_files import environment

    return environment()


def _metrics(language: Literal["en", "zh"]) -> str:
    from datingtoday.cli.generated.metrics_page import metrics_page

    return metrics_page(language)


def _alerts() -> str:
    from datingtoday.cli.generated.alert_rules import alerts_yaml

    return alerts_yaml()


def _dashboard() -> str:
    from datingtoday.cli.generated.dashboard import dashboard_json

    return dashboard_json()


Generator = Callable[[], str]

GENERATORS: list[tuple[str, Generator]] = [
    ("config.example.ini", _config_example),
    ("docs/configuration.md", _configuration_en),
    ("docs/configuration.zh-CN.md", _configuration_zh),
    ("docs/api.md", lambda: _api("en")),
    ("docs/api.zh-CN.md", lambda: _api("zh")),
    ("docs/openapi.json", _openapi),
    ("docs/asyncapi.json", _asyncapi),
    ("clients/postman/DatingToday.postman_collection.json", _postman_collection),
    ("clients/postman/DatingToday.postman_environment.json", _postman_environment),
    ("docs/errors.md", lambda: _errors("en")),
    ("docs/errors.zh-CN.md", lambda: _errors("zh")),
    ("docs/metrics.md", lambda: _metrics("en")),
    ("docs/metrics.zh-CN.md", lambda: _metrics("zh")),
    ("deploy/prometheus/alerts.yml", _alerts),
    ("deploy/grafana/datingtoday.json", _dashboard),
    ("datingtoday.sql", _mysql_schema),
    *((f"deploy/{path}", partial(_deployment, path)) for path in DEPLOYMENT_FILES),
]
"""(path from the root of the repository, what makes its text); the text ends with a line end."""


@click.group()
def command() -> None:
    """Check and write files generated from the code."""


@command.command()
def check() -> int:
    """Say which files are stale.

    Exit codes: 0 none, 1 some; `datingtoday docs write` makes them anew.
    """
    checkout()
    stale = [path for path, generate in GENERATORS if _text_of(ROOT / path) != generate()]
    for path in stale:
        click.echo(
            in_language(
                f"{path} is stale: run `datingtoday docs write`",
                f"{path} 已过期：请运行 `datingtoday docs write`",
            ),
            err=True,
        )
    return EXIT_FAILED if stale else 0


@command.command()
def write() -> None:
    """Write the files that are stale."""
    checkout()
    for path, generate in GENERATORS:
        text = generate()
        if _text_of(ROOT / path) != text:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, encoding="utf-8")
            click.echo(path)


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
