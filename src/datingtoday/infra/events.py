"""Events: how a feature tells those above it what happened, without knowing them.

A feature announces a dataclass; `app.py` registers who listens. Listeners run after the commit of the transaction
that announced it, never when it is rolled back, and a listener that fails is logged without harm to the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from datingtoday.infra.db import on_commit

E = TypeVar("E")


class Events:
    """The listeners of one application, by the type of the event."""

    def __init__(self) -> None:
        self._listeners: dict[type, list[Callable[[Any], None]]] = defaultdict(list)

    def listen(self, kind: type[E], listener: Callable[[E], None]) -> None:
        self._listeners[kind].append(listener)

    def stop(self, kind: type[E], listener: Callable[[E], None]) -> None:
        """End what `listen` began."""
        self._listeners[kind].remove(listener)

    def announce(self, session: Session, event: object) -> None:
        """Tell every listener of ``type(event)`` once ``session`` is committed."""
        for listener in self._listeners.get(type(event), ()):
            on_commit(session, lambda listener=listener: listener(event))  # type: ignore[misc]
