"""Progress of long commands: plain lines for files and pipes, a moving line for terminals."""

from __future__ import annotations

import os
import pty
import select
from collections.abc import Iterator
from contextlib import contextmanager

import click
import pytest

from datingtoday.cli.progress import Progress, clock


def test_plain_lines_come_every_two_seconds_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    clock = iter([0.0, 1.9, 2.0, 3.9, 4.1])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with Progress(total=400) as progress:
        for done in (100, 120, 130, 205):
            progress.report(done, f"{done} people", f"{done} 人")
    assert capsys.readouterr().err == "120 people, 60/s, 0:05 left …\n205 people, 50/s, 0:04 left …\n"


def test_a_rate_begins_anew_with_other_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    clock = iter([0.0, 10.0, 20.0, 24.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with Progress() as progress:
        progress.report(1000, "people: 1000")
        progress.report(1, "cells: 1")
        progress.report(9, "cells: 9")
    assert capsys.readouterr().err == "people: 1000, 100/s …\ncells: 1 …\ncells: 9, 2.2/s …\n"


def test_a_rate_is_told_after_half_a_second_of_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    clock = iter([100.0, 100.25, 100.5, 101.0, 101.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with Progress(total=20) as progress:
        progress.report(0, "a")
        progress.report(1, "b")
        progress.report(10, "c")
        progress.report(10, "d", total=30)
    assert capsys.readouterr().err.splitlines() == [
        "a …",
        "b, 2.0/s, 0:10 left …",
        "c, 10/s, 0:01 left …",
        "d, 10/s, 0:02 left …",
    ]


def test_nothing_done_has_no_rate_and_the_same_count_twice_is_the_same_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    clock = iter([100.0, 110.0, 120.0, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with Progress(total=400) as progress:
        progress.report(0, "a")
        for line in ("b", "c"):
            progress.report(200, line)
    assert capsys.readouterr().err.splitlines() == [
        "a …",
        "b, 10/s, 0:20 left …",
        "c, 10/s, 0:20 left …",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3725, "1:02:05"), (-3, "0:00")])
def test_spans(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_lines_follow_the_language_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    with Progress() as progress:
        progress.report(7, "7 people", "7 人")
        progress.report(8, "8 / 9")
    assert capsys.readouterr().err == "7 人 …\n8 / 9 …\n"


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    with Progress(quiet=True) as progress:
        progress.report(1, "1 person")
    assert capsys.readouterr().err == ""


def test_a_result_is_on_stdout_and_progress_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    with Progress() as progress:
        progress.report(1, "1 person")
        progress.say("17 approved")
    told = capsys.readouterr()
    assert told.out == "17 approved\n"
    assert told.err == "1 person …\n"


def test_a_terminal_sees_one_line_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    with shown(monkeypatch, "stdout", "stderr") as seen, Progress(total=10) as progress:
        progress.report(5, "5 / 10")
        progress.say("[b]12[/b] done")
    assert b"[b]12[/b] done" in seen, "as it stands, without colours"
    assert b"5 / 10" in seen and b"\x1b[2K" in seen and b":" in seen
    # The line has ended, and the cursor is shown again.
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")


def test_a_result_goes_into_a_pipe_while_the_terminal_sees_the_moving_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(monkeypatch, "stderr") as seen, Progress(total=10) as progress:
        progress.report(5, "5 / 10")
        progress.say("12 approved")
        click.echo("13 approved")
    assert b"5 / 10" in seen and b"approved" not in seen
    assert capsys.readouterr().out == "12 approved\n13 approved\n"


def test_a_file_for_stderr_gets_plain_lines_though_stdout_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datingtoday.cli.progress._LINE_EVERY_S", 0)
    with shown(monkeypatch, "stdout") as seen, Progress(total=10) as progress:
        progress.report(5, "5 / 10")
    assert seen == b"", "a moving line would fill the file that stderr goes to"
    assert capsys.readouterr().err == "5 / 10 …\n"


@contextmanager
def shown(monkeypatch: pytest.MonkeyPatch, *streams: str) -> Iterator[bytearray]:
    """Gives these streams a terminal; after the block it holds what that was sent."""
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    seen = bytearray()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        for stream in streams:
            patched.setattr(f"sys.{stream}", terminal)
        yield seen
        terminal.flush()
        while select.select([ours], [], [], 0.2)[0]:
            seen += os.read(ours, 4096)
    os.close(ours)
