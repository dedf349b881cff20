"""Output of commands in the language of the terminal, and tables that line up with Chinese text."""

import json
from collections.abc import Iterator, Sequence

import click

from datingtoday.cli.main import complain, speaks_chinese
from datingtoday.cli.text_width import columns
from datingtoday.infra.paired import paired

MAX_CELL_CHARS = 40


def in_language(en: str, zh: str) -> str:
    """The one of the two that the terminal asks for."""
    return zh if speaks_chinese() else en


def say(en: str, zh: str) -> None:
    """A result, on stdout."""
    click.echo(in_language(en, zh))


def note(en: str, zh: str) -> None:
    """For people, on stderr; stdout stays what a script reads."""
    complain(f"datingtoday: {in_language(en, zh)}")


def say_json(value: object) -> None:
    """A result as JSON, to be read by people as well."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def one_line(text: str) -> str:
    """A text of people's own as a cell of a table: without line ends, and cut to `MAX_CELL_CHARS`."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_CELL_CHARS else f"{flat[: MAX_CELL_CHARS - 1]}…"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with aligned columns."""
    widths = [max(columns(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell + " " * (width - columns(cell)) for cell, width in paired(row, widths)).rstrip()
