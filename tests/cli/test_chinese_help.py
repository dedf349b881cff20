"""`--help` in Chinese: every paragraph of every command and option is translated, and lines fit a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click
import pytest

from datingtoday.cli.chinese_help import CHINESE
from datingtoday.cli.main import COMMANDS, cli, run
from datingtoday.cli.text_width import columns


def every_command(
    command: click.Command = cli, *path: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from every_command(below, *path, name)


def english_paragraphs() -> set[str]:
    texts = [line for _, line in COMMANDS.values()] + ["Show this message and exit."]
    for _, command in every_command():
        texts += [command.help or "", command.epilog or ""]
        texts += [it.help or "" for it in command.params if isinstance(it, click.Option)]
    paragraphs = (part for text in texts for part in cleandoc(text).split("\n\n"))
    return {" ".join(part.split()) for part in paragraphs if part and not part.startswith("\b")}


def test_every_paragraph_is_translated_and_no_translation_is_left_over() -> None:
    assert english_paragraphs() == set(CHINESE)


@pytest.mark.parametrize("path", [path for path, _ in every_command()], ids=" ".join)
def test_the_page_is_chinese_and_fits(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*path, "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("用法：datingtoday") and "选项：" in page
    for line in page.splitlines():
        assert line.isascii() or columns(line) <= 82, line
        assert "datingtoday " in line or not re.search(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", line), line
        assert not line.strip().startswith(("，", "。", "；")), line
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    run([*path, "--help"])
    assert capsys.readouterr().out.startswith("Usage: datingtoday")
