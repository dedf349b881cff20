"""Output of commands in the language of the terminal, and tables that line up with Chinese text."""

from collections.abc import Iterator, Sequence

import click

from datingtoday.cli.main import speaks_chinese
from datingtoday.cli.text_width import columns
from datingtoday.infra.paired import paired


def in_language(en: str, zh: str) -> str:
    """The one of the two that the terminal asks for."""
    return zh if speaks_chinese() else en


def say(en: str, zh: str) -> None:
    """A result, on stdout."""
    click.echo(in_language(en, zh))


def note(en: str, zh: str) -> None:
    """For people, on stderr; stdout stays what a script reads."""
    click.echo(f"datingtoday: {in_language(en, zh)}", err=True)


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with aligned columns."""
    widths = [max(columns(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell + " " * (width - columns(cell)) for cell, width in paired(row, widths)).rstrip()
