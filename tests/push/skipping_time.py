"""Event loops and connections for tests of push without a network, in which waiting takes no time.

SkippingLoop    time passes by itself where nothing else is left to do; ``run(work)`` runs a coroutine on one
Wire            the transport of a connection: what was written to it, and how it ended
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
BEGIN_S = 1000.0
MAX_TURNS = 200_000


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer. For work without threads: their results would come too late."""

    def __init__(self) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._now_s = BEGIN_S
        look = selector.select

        turns = itertools.count()

        def select(timeout: float | None = None) -> Any:
            if next(turns) > MAX_TURNS:
                raise RuntimeError("it goes round in circles")
            found = look(0)
            if not found and timeout:
                self._now_s += timeout
            return found

        selector.select = select  # type: ignore[method-assign]

    def time(self) -> float:
        return self._now_s


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; tasks that are left over are cancelled, and what a callback raised fails the test."""
    loop = SkippingLoop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(work)
        assert not errors, errors
        return result
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()


def since_begin() -> float:
    """Seconds that have passed in this loop."""
    return asyncio.get_running_loop().time() - BEGIN_S


async def wait(seconds: float) -> None:
    """Let so much of the loop's time pass, which costs none."""
    loop = asyncio.get_running_loop()
    passed = loop.create_future()
    timer = loop.call_later(seconds, passed.set_result, None)
    try:
        await passed
    finally:
        timer.cancel()


async def until(second: float) -> None:
    """Wait for a moment, counted from the begin of the loop."""
    await wait(second - since_begin())


async def turn() -> None:
    """Let everything else that is ready run once."""
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(passed.set_result, None)
    await passed


class Wire(asyncio.Transport):
    """Remembers what was written, and the second at which it was aborted."""

    def __init__(self, peer: str = "10.0.0.9") -> None:
        super().__init__({"peername": (peer, 5), "sockname": ("10.0.0.1", 80), "socket": None})
        self.written = b""
        self.aborted_at: float | None = None
        self.is_closed = False
        self.buffered = 0

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        if self.aborted_at is None:
            self.aborted_at = round(since_begin(), 3)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed or self.aborted_at is not None

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_reading(self) -> bool:
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass
