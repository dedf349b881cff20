"""Output of commands in the language of the terminal, and tables that line up with Chinese text."""

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

import click

from datingtoday.cli.main import speaks_chinese


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
    widths = [max(_columns(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(
            cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()


def _columns(text: str) -> int:
    """Width on a terminal: Chinese characters take two."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)
