"""`datingtoday hot`: what search and the hot list derive from people."""

from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts
from datingtoday.cli.progress import Progress
from datingtoday.cli.terminal import say


@click.group()
def command() -> None:
    """Manage the hot list and the nickname index."""


@command.command()
@settings_options
def rebuild(config_file: Path | None, data_dir: Path | None) -> None:
    """Rebuild the nickname index, all scores and the hot list from the database.

    Needed after an import and after a change of [DISCOVERY] hot_half_life_days; data lost by Redis is
    restored automatically. Works in small batches while servers keep running. Safe to stop and to run twice.

    Exit codes: 0 done, 1 failed (finished batches are kept), 2 the settings are wrong.
    """
    with open_parts(config_file, data_dir) as parts, Progress() as progress:
        done = parts.discovery.rebuild.reindex_all(
            lambda done: progress.report(done, f"{done} people", f"{done} 人")
        )
        edition = parts.discovery.rebuild.make_edition(datetime.now(UTC))
    if edition is None:
        say(f"{done} people; a server is already making the hot list", f"{done} 人；服务器正在生成热门推荐")
    else:
        size = edition.sizes[0]
        say(f"{done} people; {size} in the hot list", f"{done} 人；热门推荐 {size} 人")
