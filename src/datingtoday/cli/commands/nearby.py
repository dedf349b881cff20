"""`datingtoday nearby`: the index of who is where."""

from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts
from datingtoday.cli.progress import Progress
from datingtoday.cli.terminal import say

_ZH = {"people": "用户", "cells": "网格", "entries": "缓存条目"}


@click.group()
def command() -> None:
    """Manage the list of people nearby."""


@command.command()
@settings_options
@click.option("--quiet", is_flag=True, help="Print errors only.")
def rebuild(config_file: Path | None, data_dir: Path | None, quiet: bool) -> None:
    """Repair the locations at which people are shown, and fill the cache.

    Needed after an import and after a change of [DISCOVERY] nearby_grid_m; data lost by Redis is
    restored automatically. Works in small steps while servers keep running. Safe to stop and to run twice.

    Exit codes: 0 done, 1 failed (finished batches are kept), 2 the settings are wrong.
    """
    from datingtoday.discovery.nearby.jobs import Rebuilding

    with open_parts(config_file, data_dir) as parts, Progress(quiet=quiet) as progress:
        done = Rebuilding(
            parts.base.database,
            parts.discovery.places,
            parts.base.cache,
            datetime.now(UTC),
            lambda what, done: progress.report(done, f"{what}: {done}", f"{_ZH[what]}：{done}"),
        ).run()
    if not quiet:
        say(
            f"people: {done.people}; cells: {done.cells} ({done.corrected} corrected); entries: {done.buckets}",
            f"用户：{done.people}；网格：{done.cells}（更正 {done.corrected}）；缓存条目：{done.buckets}",
        )
