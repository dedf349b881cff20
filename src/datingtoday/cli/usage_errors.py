"""Wrong usage of commands, told in Chinese: click speaks English only."""

from __future__ import annotations

import re

import click

_KNOWN: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), chinese)
    for pattern, chinese in (
        (r"'?(.+?)'? is not a valid integer(?: range)?\.", r"\1 不是整数。"),
        (r"'?(.+?)'? is not a valid float(?: range)?\.", r"\1 不是数字。"),
        (r"'?(.+?)'? is not a valid boolean\..*", r"\1 不是布尔值。"),
        (r"'?(.+?)'? is not in the range (.+)\.", r"\1 不在范围 \2 内。"),
        (r"'?(.+?)'? is not one of (.+)\.", r"\1 应为以下之一：\2。"),
        (r"\w+ '?(.+?)'? does not exist\.", r"\1 不存在。"),
        (r"Got unexpected extra arguments? \((.+)\)", r"多余的参数：\1"),
        (r"Option '?(.+?)'? requires an argument\.", r"选项 \1 需要一个值。"),
        (r"Option '?(.+?)'? does not take a value\.", r"选项 \1 不带值。"),
    )
)
"""Messages of click's own checks; what commands say themselves is in Chinese already."""


def in_chinese(error: click.UsageError) -> str:
    """The message of a usage error."""
    if isinstance(error, click.NoSuchOption):
        alike = f"（是否指 {'、'.join(sorted(error.possibilities))}？）" if error.possibilities else ""
        return f"没有选项 {error.option_name}{alike}"
    if isinstance(error, click.MissingParameter):
        return f"缺少 {_name_of(error) or error.message}"
    if found := re.match(r"No such command '(.+?)'", error.message):
        return f"没有命令 {found[1]}"
    message = _translated(error.message)
    name = _name_of(error) if isinstance(error, click.BadParameter) else ""
    return f"{name} 的值无效：{message}" if name else message


def _name_of(error: click.BadParameter) -> str:
    """The option or argument as the user writes it."""
    if error.param_hint is not None:
        hint = error.param_hint
        return hint if isinstance(hint, str) else " / ".join(hint)
    return (
        error.param.get_error_hint(error.ctx).replace("'", "")
        if error.param is not None and error.ctx
        else ""
    )


def _translated(message: str) -> str:
    for pattern, chinese in _KNOWN:
        if pattern.fullmatch(message):
            return pattern.sub(chinese, message)
    return message
