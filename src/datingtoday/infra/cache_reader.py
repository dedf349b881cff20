"""The cache as one request reads it: with its time, and with what was read ahead for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from datingtoday.infra.cache import NOTHING_AHEAD, CacheRequest, ReadAhead, ReadyCache, Source

K = TypeVar("K")


class CacheReader:
    """Reads entries for one request, used by one thread.

    Some keys were read a moment ago: the guard reads along, in its own round trip, what a route guesses that it will
    want. Guesses decide nothing: what was not read ahead is read when it is asked for.
    """

    __slots__ = ("_cache", "_values", "now")

    def __init__(self, cache: ReadyCache, now: datetime, values: ReadAhead = NOTHING_AHEAD) -> None:
        """:param now: the request's time. :param values: what was read of keys already."""
        self._cache = cache
        self._values = values
        self.now = now

    @property
    def is_empty(self) -> bool:
        """Nothing was read ahead."""
        return not self._values

    def value(self, key: str) -> bytes | None:
        """Value of a key when it was read ahead; None if it held nothing or was not read."""
        return self._values.get(key)

    def values(self, keys: Sequence[str]) -> list[bytes | None]:
        """The same of several keys."""
        return list(map(self._values.get, keys))

    def read_ahead(self, keys: Sequence[str]) -> None:
        """Read in one round trip what was not read yet of keys that will be wanted; with Redis down nothing."""
        rest = [key for key in keys if key not in self._values]
        if rest:
            self._values = {**self._values, **self._cache.read(rest)}

    def fresh(self) -> CacheReader:
        """A reader of the same request with nothing read ahead: for what may have been made since."""
        return CacheReader(self._cache, self.now)

    def forget_read(self) -> None:
        """Let go of what was read ahead: this very request has changed what it says."""
        self._values = NOTHING_AHEAD

    def fetch(self, requests: Sequence[CacheRequest[Any]]) -> list[bytes | None]:
        """The entries in the order of the requests, as `ReadyCache.fetch` gives them."""
        return self._cache.fetch(requests, self.now, self._values)

    def fetch_one(self, source: Source[K], what: K) -> bytes | None:
        """`fetch` of a single entry."""
        return self._cache.fetch_one(source, what, self.now, self._values)

    def entries_read(self, keys: Sequence[str]) -> list[bytes] | None:
        """The entries of keys, if each was read ahead and is there; None if `fetch` has to be asked."""
        return self._cache.entries_read(keys, self._values)
