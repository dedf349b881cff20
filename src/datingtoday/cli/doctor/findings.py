"""Findings of `datingtoday doctor`, and the context in which checks run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from datingtoday.infra.config.settings import Settings
from datingtoday.infra.text import Text

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check.

    :param check: stable name, ``area.subject``; scripts may rely on it.
    :param fix: the command or the line of settings that repairs it; None if nothing has to be done.
    """

    check: str
    state: State
    message: Text
    fix: Text | None = None

    @property
    def area(self) -> str:
        """The part of the name before the point."""
        return self.check.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Context:
    """Input of every check.

    :param url: the public address that the proxy checks ask; empty: they are left out.
    :param clock_ns: this host's time in nanoseconds.
    """

    settings: Settings
    url: str = ""
    clock_ns: Callable[[], int] = time.time_ns

    @property
    def is_embedded(self) -> bool:
        return self.settings.embedded


Check = Callable[[Context], Iterable[Finding]]


def ok(check: str, en: str, zh: str) -> Finding:
    """A finding that needs nothing."""
    return Finding(check, "ok", Text(en, zh))


def warning(check: str, message: Text, fix: Text | str) -> Finding:
    """A finding with which the service runs, but not as it should."""
    return Finding(check, "warning", message, _as_text(fix))


def error(check: str, message: Text, fix: Text | str) -> Finding:
    """A finding with which requests fail, or a promise is not kept."""
    return Finding(check, "error", message, _as_text(fix))


def _as_text(fix: Text | str) -> Text:
    return fix if isinstance(fix, Text) else Text(fix, fix)
