"""A logger that keeps its lines, whatever level this process writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class RecordedLog:
    """Takes the place of a module's ``log``."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        """Level and event as one text, and what was told with it."""

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **told: self.lines.append((f"{level} {event}", told))
