"""Events: how a feature tells those above it what happened, without knowing them.

A feature announces a dataclass; the parts of other features say who listens. What must be true whenever the event is,
listens `within` the transaction, which it may refuse by raising. Everybody else listens after the commit, never when
the transaction is rolled back, and a listener that fails there is logged without harm to the others.
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
        self._within: dict[type, list[Callable[[Session, Any], None]]] = defaultdict(list)
        self._listeners: dict[type, list[Callable[[Any], None]]] = defaultdict(list)

    def within(self, kind: type[E], listener: Callable[[Session, E], None]) -> None:
        """Call this in the transaction that announces, at once."""
        self._within[kind].append(listener)

    def listen(self, kind: type[E], listener: Callable[[E], None]) -> None:
        """Call this after the commit."""
        self._listeners[kind].append(listener)

    def stop(self, kind: type[E], listener: Callable[[E], None]) -> None:
        """End what `listen` began."""
        self._listeners[kind].remove(listener)

    def announce(self, session: Session, event: object) -> None:
        """Tell every listener of ``type(event)``."""
        for within in self._within.get(type(event), ()):
            within(session, event)
        for listener in self._listeners.get(type(event), ()):
            on_commit(session, lambda listener=listener: listener(event))  # type: ignore[misc]
