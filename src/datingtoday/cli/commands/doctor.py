"""`datingtoday doctor`: everything that can be wrong with an installation, and the command that repairs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datingtoday.cli.main import EXIT_FAILED, EXIT_USAGE
from datingtoday.cli.options import settings_options
from datingtoday.cli.terminal import in_language

if TYPE_CHECKING:
    from datingtoday.cli.doctor.findings import Finding
    from datingtoday.infra.config.settings import Settings

AREAS = (
    "settings", "secrets", "clock", "database", "schema", "redis", "storage", "sms", "payments", "processes",
    "proxy",
)  # fmt: skip
_MARKS = {"ok": ("ok", "正常"), "warning": ("WARNING", "警告"), "error": ("ERROR", "错误")}


@click.command()
@settings_options
@click.option(
    "--url", default="", help="The public address, to check TLS, proxy and push: https://api.example.com"
)
@click.option(
    "--only", "areas", multiple=True, type=click.Choice(AREAS), help="Only these areas; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, in both languages.")
@click.pass_context
def command(
    context: click.Context,
    config_file: Path | None,
    data_dir: Path | None,
    url: str,
    areas: tuple[str, ...],
    as_json: bool,
) -> int:
    """Examine this installation: settings, secrets, clock, database, Redis, storage, providers, processes, proxy.

    Each finding that is not in order comes with the command that repairs it. Only servers that the settings name (and
    --url) are contacted; payment and SMS providers are not. Changes nothing: what is written for a check is removed.

    Exit codes: 0 no errors (warnings are possible), 1 errors were found, 2 the settings cannot be read.
    """
    from datingtoday.cli.doctor.examination import CHECKS, examine
    from datingtoday.cli.doctor.findings import Context
    from datingtoday.cli.doctor.settings_checks import config_finding
    from datingtoday.infra.config.settings import ConfigError, load_settings
    from datingtoday.infra.logs import configure_logs

    configure_logs("error")
    _check_url(url)
    try:
        settings: Settings = load_settings(config_file, data_dir)
    except ConfigError as problem:
        findings = [config_finding(part) for part in problem.all]
        _print_all(findings, as_json=as_json)
        return EXIT_USAGE
    chosen = {area: check for area, check in CHECKS.items() if not areas or area in areas}
    found = []
    for finding in examine(Context(settings, url.rstrip("/")), chosen, debug=context.obj["debug"]):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        _print_json(found)
    else:
        _print_summary(found)
    return EXIT_FAILED if any(finding.state == "error" for finding in found) else 0


def _check_url(url: str) -> None:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise click.UsageError(f"--url: an http:// or https:// address, not {url!r}")


def _print_all(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        _print_json(findings)
        return
    for finding in findings:
        _print(finding)
    _print_summary(findings)


def _print(finding: Finding) -> None:
    mark = in_language(*_MARKS[finding.state])
    color = {"ok": "green", "warning": "yellow", "error": "red"}[finding.state]
    click.echo(f"{click.style(mark, fg=color)}  {finding.check}: {in_language(*finding.message)}")
    if finding.fix is not None:
        click.echo(f"    {in_language('fix', '修复')}: {in_language(*finding.fix)}")


def _print_summary(findings: list[Finding]) -> None:
    counts = Counter(finding.state for finding in findings)
    good, warnings, errors = (counts[state] for state in ("ok", "warning", "error"))
    click.echo(
        in_language(
            f"{errors} errors, {warnings} warnings, {good} ok", f"错误 {errors}，警告 {warnings}，正常 {good}"
        )
    )


def _print_json(findings: list[Finding]) -> None:
    import orjson

    counts = Counter(finding.state for finding in findings)
    document = {
        "status": "error" if counts["error"] else "warning" if counts["warning"] else "ok",
        "counts": {state: counts[state] for state in ("ok", "warning", "error")},
        "findings": [
            {
                "check": finding.check,
                "state": finding.state,
                "message": finding.message._asdict(),
                "fix": None if finding.fix is None else finding.fix._asdict(),
            }
            for finding in findings
        ],
    }
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
