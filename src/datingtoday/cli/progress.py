"""Progress of a long command: a moving line on a terminal, elsewhere a plain line every two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from datingtoday.cli.terminal import in_language

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_LINE_EVERY_S = 2.0


class Progress:
    """Reporter for the time of a ``with`` block; what is reported must be cheap to say and may come often."""

    def __init__(self, *, quiet: bool = False, total: int | None = None) -> None:
        """:param quiet: report nothing. :param total: what the count will reach, if it is known."""
        self._quiet = quiet
        self._total = total
        self._said_at = time.monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stdout.isatty():
            self._bar = _bar(with_total=self._total is not None)
            self._bar.add_task("", total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(self, done: int, en: str, zh: str | None = None) -> None:
        """:param en: the line that says so, e.g. "1200 people". :param zh: in Chinese, if that is different."""
        if self._quiet:
            return
        line = in_language(en, zh or en)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, description=line)
        elif time.monotonic() - self._said_at >= _LINE_EVERY_S:
            self._said_at = time.monotonic()
            click.echo(f"{line} …")


def _bar(*, with_total: bool) -> Bar:
    # Imported only here: most commands need no terminal library, and --help stays quick.
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns[:2], *([BarColumn()] if with_total else []), columns[2], transient=True)
