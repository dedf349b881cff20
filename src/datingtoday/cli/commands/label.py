"""`datingtoday label`: the labels that people can choose."""

from pathlib import Path

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import reading, transaction
from datingtoday.cli.terminal import in_language, say, table
from datingtoday.cli.text_arguments import clean_text

NAME_CHARS = 50
MEANING_CHARS = 20
GENDERS = ("everyone", "men", "women")
_GENDERS_ZH = ("所有人", "男", "女")


@click.group()
def command() -> None:
    """Add and rename the labels users can choose."""


@command.command("list")
@settings_options
def list_(config_file: Path | None, data_dir: Path | None) -> None:
    """Show all labels.

    Exit codes: 0 shown, 1 failed, 2 the settings are wrong.
    """
    with reading(config_file, data_dir) as (parts, session):
        rows = [
            (str(row.id), in_language(GENDERS[row.gender], _GENDERS_ZH[row.gender]), row.name, row.meaning)
            for row in parts.profiles.labels.all(session)
        ]
    header = ("id", in_language("for", "适用"), in_language("name", "名称"), in_language("meaning", "含义"))
    for line in table([header, *rows]):
        click.echo(line)


@command.command()
@click.argument("name")
@click.option(
    "--gender", type=click.Choice(GENDERS), default="everyone", show_default=True, help="Gender it is for."
)
@click.option("--meaning", default="", help=f"Meaning, in up to {MEANING_CHARS} characters.")
@settings_options
def add(name: str, gender: str, meaning: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Add a label; clients see it at once.

    Exit codes: 0 added, 1 failed (there is one of this name for the same gender), 2 wrong usage or settings.
    """
    from datingtoday.profiles.labels import LabelTaken

    name, meaning = (
        clean_text("NAME", name, 1, NAME_CHARS),
        clean_text("--meaning", meaning, 0, MEANING_CHARS),
    )
    try:
        with transaction(config_file, data_dir) as (parts, session):
            label = parts.profiles.labels.add(session, name, GENDERS.index(gender), meaning)
            label_id = label.id
    except LabelTaken as error:
        raise _taken(name) from error
    say(f"label {label_id} added", f"已添加标签 {label_id}")


@command.command()
@click.argument("label_id", type=click.IntRange(min=1))
@click.argument("name")
@click.option("--meaning", help="Meaning; unchanged if left out.")
@settings_options
def rename(
    label_id: int, name: str, meaning: str | None, config_file: Path | None, data_dir: Path | None
) -> None:
    """Give a label another name, also where people have chosen it.

    Exit codes: 0 done, 1 failed (no such label, or there is one of this name for the same gender), 2 wrong usage
    or settings.
    """
    from datingtoday.profiles.labels import LabelTaken

    name = clean_text("NAME", name, 1, NAME_CHARS)
    meaning = None if meaning is None else clean_text("--meaning", meaning, 0, MEANING_CHARS)
    try:
        with transaction(config_file, data_dir) as (parts, session):
            label = parts.profiles.labels.rename(session, label_id, name, meaning)
    except LabelTaken as error:
        raise _taken(name) from error
    if label is None:
        raise CommandFailed(
            f"there is no label {label_id}: see `datingtoday label list`",
            f"没有标签 {label_id}：见 `datingtoday label list`",
        )
    say(f"label {label_id} is called {name}", f"标签 {label_id} 现名为 {name}")


def _taken(name: str) -> CommandFailed:
    return CommandFailed(f"a label {name} exists already for this gender", f"已有同名标签 {name}")
