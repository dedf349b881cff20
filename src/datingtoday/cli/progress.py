"""Progress of a long command, on stderr: a moving line on a terminal, elsewhere a plain line every two seconds.

stdout stays what a script reads: the result, however long it took. Both tell the rate and, where the total is known,
the time left. Ctrl-C ends the command with exit code 130 and one line about going on.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from datingtoday.cli.main import CommandInterrupted, complain
from datingtoday.cli.terminal import in_language
from datingtoday.infra.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_LINE_EVERY_S = 2.0
_MIN_RATE_S = 0.5
"""A rate is told from here on: before, it says little."""
GO_ON = Text(
    "stopped; what was done is kept: run the same command again to finish",
    "已停止；已完成的部分会保留：再次运行同一命令即可继续",
)


class Progress:
    """Reporter for the time of a ``with`` block; what is reported must be cheap to say and may come often."""

    def __init__(self, *, quiet: bool = False, total: int | None = None, again: Text = GO_ON) -> None:
        """:param quiet: report nothing.

        :param total: what the count will reach, if it is known.
        :param again: the line after Ctrl-C.
        """
        self.again = again
        self._quiet = quiet
        self._total = total
        self._said_at = self._began_at = time.monotonic()
        self._done = 0
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            self._bar = _bar()
            self._bar.add_task("", total=self._total, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if isinstance(error, KeyboardInterrupt):
            raise CommandInterrupted(*self.again) from None

    def report(self, done: int, en: str, zh: str | None = None, *, total: int | None = None) -> None:
        """:param en: the line that says so, e.g. "1200 people". :param zh: in Chinese, if that is different.

        :param total: what the count will reach, if that is known only now.
        """
        if self._quiet:
            return
        self._total = total or self._total
        now = time.monotonic()
        if done < self._done:
            # Another kind of work begins.
            self._began_at = now
        self._done = done
        line, rate = in_language(en, zh or en), self._rate(done, now)
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0], completed=done, total=self._total, description=line, rate=rate
            )
        elif now - self._said_at >= _LINE_EVERY_S:
            self._said_at = now
            complain(f"{line}{rate}{self._time_left(done, now)} …")

    def say(self, line: str) -> None:
        """Print a line of the result, above the moving one if both go to a terminal."""
        if self._bar is not None and sys.stdout.isatty():
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line)

    def _rate(self, done: int, now: float) -> str:
        elapsed_s = now - self._began_at
        if elapsed_s < _MIN_RATE_S or done <= 0:
            return ""
        return f", {_short(done / elapsed_s)}/s"

    def _time_left(self, done: int, now: float) -> str:
        elapsed_s = now - self._began_at
        if self._total is None or elapsed_s < _MIN_RATE_S or done <= 0:
            return ""
        left = clock((self._total - done) * elapsed_s / done)
        return in_language(f", {left} left", f"，剩余 {left}")


def clock(seconds: float) -> str:
    """A span as h:mm:ss or m:ss."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


def _bar() -> Bar:
    # Imported only here: most commands need no terminal library, and --help stays quick.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}{task.fields[rate]}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
