"""Formatter of `--help` in Chinese: translates each paragraph, and wraps by columns of the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import click

from datingtoday.cli.chinese_help import CHINESE
from datingtoday.cli.text_width import columns

_HEADINGS = {"Options": "选项", "Commands": "命令"}
_USAGE = (("[OPTIONS]", "[选项]"), ("COMMAND", "命令"), ("[ARGS]", "[参数]"))
_NOTES_AT_END = re.compile(r"  \[[^]]*\]$")
"""Notes that click appends to the help of an option: its default, its range, that it is required."""
_NOTES = (("default: ", "默认："), ("required", "必填"), ("; ", "；"))
_ATOM = re.compile(r"[!-~]+|[^!-~]")
"""Unit of wrapping: a word of ASCII, or any other single character."""
_NOT_FIRST = frozenset("，。；：、）？！”…")


class ChineseFormatter(click.HelpFormatter):
    """Writes help in Chinese; what has no translation stays as it is."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        for word, chinese in _USAGE:
            args = args.replace(word, chinese)
        super().write_usage(prog, args, "用法：")

    def write_heading(self, heading: str) -> None:
        self.write(f"{'':{self.current_indent}}{_HEADINGS.get(heading, heading)}：\n")

    def write_text(self, text: str) -> None:
        indent = " " * self.current_indent
        paragraphs = []
        for paragraph in text.split("\n\n"):
            if paragraph.startswith("\b\n"):
                lines = paragraph.splitlines()[1:]
            else:
                lines = list(wrapped(translated(paragraph), self.width - self.current_indent))
            paragraphs.append("".join(f"{indent}{line}\n" for line in lines))
        self.write("\n".join(paragraphs))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows, indent = list(rows), self.current_indent
        left = min(max(len(name) for name, _ in rows), col_max) + col_spacing
        for name, text in rows:
            lines = list(wrapped(_option(text), self.width - indent - left))
            head = f"{'':{indent}}{name:{left}}"
            if len(name) > left - col_spacing:
                self.write(f"{'':{indent}}{name}\n")
                head = " " * (indent + left)
            for line in lines or [""]:
                self.write(f"{head}{line}".rstrip() + "\n")
                head = " " * (indent + left)


def translated(paragraph: str) -> str:
    """A paragraph in Chinese; of one that click has shortened, the first sentence."""
    text = " ".join(paragraph.split())
    if text in CHINESE:
        return CHINESE[text]
    begin = text.removesuffix("...").rstrip(".")
    whole = next((zh for en, zh in CHINESE.items() if begin and en.startswith(begin)), None)
    return text if whole is None else re.split(r"[。；]", whole)[0] + "。"


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most so many columns; no line begins with a full stop or a comma."""
    line = ""
    for atom in _ATOM.findall(text):
        if line and columns(line + atom) > width and atom not in _NOT_FIRST:
            yield line.rstrip()
            line = ""
        if line or atom != " ":
            line += atom
    if line.strip():
        yield line.rstrip()


def _option(text: str) -> str:
    notes = _NOTES_AT_END.search(text)
    if notes is None:
        return translated(text)
    chinese = notes[0]
    for english, word in _NOTES:
        chinese = chinese.replace(english, word)
    return translated(text[: notes.start()]) + chinese
