"""`datingtoday seed`: made-up people, for trying things out and for measuring."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts
from datingtoday.cli.progress import Progress
from datingtoday.cli.terminal import say
from datingtoday.infra.text import Text


@click.command()
@settings_options
@click.option(
    "--users", type=click.IntRange(1, 10_000_000), default=200, show_default=True, help="Number of people."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same people.")
@click.option("--force", is_flag=True, help="Seed your own database even if it holds people.")
def command(config_file: Path | None, data_dir: Path | None, users: int, seed: int, force: bool) -> None:
    """Fill the database with made-up Chinese profiles: names, labels, introductions, places in 40 cities, activity.

    Most have an avatar, one of some dozens of drawn faces; nobody can log in as one of them. Running it again adds more
    people; after Ctrl-C whole batches stay, and the last line says how to add the others.

    Exit codes: 0 done, 1 failed (whole batches stay), 2 the settings are wrong.
    """
    from datingtoday.cli.seeding.load import SeedLoad
    from datingtoday.infra.storage.storage import StorageError

    began = time.monotonic()
    with (
        open_parts(config_file, data_dir) as parts,
        Progress(total=users, again=_again(0, users)) as progress,
    ):
        load = SeedLoad(parts)
        if not (force or parts.base.settings.embedded or load.is_empty()):
            raise CommandFailed(
                "this database already holds people; --force adds made-up ones",
                "该数据库中已有用户；如确需加入虚构用户，请加 --force",
            )
        now = datetime.now(UTC)

        def report_progress(done: int) -> None:
            progress.again = _again(done, users)
            progress.report(done, f"{done} / {users}")

        try:
            ids = load.load(users, seed, now, report_progress)
        except StorageError as error:
            raise CommandFailed(
                f"the pictures cannot be stored: {error}; no people were added",
                f"无法保存头像：{error}；未生成任何用户",
            ) from error
        load.make_edition(now)
    seconds = time.monotonic() - began
    say(
        f"{users} made-up people ({ids[0]} to {ids[-1]}) in {seconds:.1f} s",
        f"已生成 {users} 个虚构用户（{ids[0]} 到 {ids[-1]}），用时 {seconds:.1f} 秒",
    )


def _again(done: int, users: int) -> Text:
    """The line after Ctrl-C: running the same command again would add all of them once more."""
    rest = users - done
    return Text(
        f"stopped with {done} of {users} people; the others: datingtoday seed --users {rest} --force",
        f"已停止，已生成 {done} / {users} 人；继续生成其余的人：datingtoday seed --users {rest} --force",
    )
