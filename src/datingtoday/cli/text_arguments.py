"""Texts that are given on the command line."""

from __future__ import annotations

import click

from datingtoday.cli.terminal import in_language


def clean_text(what: str, text: str, least: int, most: int) -> str:
    """The text, trimmed.

    :param what: name of the argument or option, as it is typed.
    :param least, most: in characters, after trimming.
    :raises click.UsageError: another length, or control characters.
    """
    from datingtoday.protocol.fields import has_control_characters, length_of

    text = text.strip()
    if not least <= len(text) <= most or has_control_characters(text):
        length = length_of(least, most)
        raise click.UsageError(
            in_language(
                f"{what}: allowed: {length.en}, no control characters",
                f"{what}：允许 {length.zh}，不含控制字符",
            )
        )
    return text
