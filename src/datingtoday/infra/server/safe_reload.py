"""Hooks for gunicorn with which a reload (HUP) neither stops nor loses the service.

By itself gunicorn ends the old workers as soon as it has forked the new ones: until these have imported the program,
seconds later, nobody answers; and if they cannot start, everything ends. Here the old workers go on until all new ones
answer, and stay if one of them cannot.

Imports little on purpose: gunicorn's parent process keeps this module over reloads, so that everything else, whatever
its version, is imported anew by the new workers.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from typing import Any

READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.05
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


def post_fork(_arbiter: Any, _worker: Any) -> None:
    """In a new worker: forget what the parent imported of an earlier release."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "datingtoday"]:
        del sys.modules[name]
    importlib.invalidate_caches()


def on_reload(arbiter: Any) -> None:
    """Let gunicorn's next step, which ends the old workers, wait for the new ones."""
    old = dict(arbiter.WORKERS)

    def manage_workers() -> None:
        del arbiter.manage_workers  # the class's own again
        new = {pid: worker for pid, worker in arbiter.WORKERS.items() if pid not in old}
        if _are_ready(arbiter, new):
            arbiter.manage_workers()
        else:
            _give_up(arbiter, old, new)

    arbiter.manage_workers = manage_workers


def _are_ready(arbiter: Any, new: dict[int, Any]) -> bool:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        for pid in new:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                arbiter.WORKERS.pop(pid).tmp.close()
                arbiter.log.error("A new worker (pid:%s) ended with status %s.", pid, status)
                return False
        if all(_has_begun(worker) for worker in new.values()):
            return True
        if _is_told_to_stop(arbiter):
            return False
        time.sleep(_LOOK_EVERY_S)
    arbiter.log.error("The new workers were not ready within %s s.", READY_WITHIN_S)
    return False


def _is_told_to_stop(arbiter: Any) -> bool:
    """A signal that waits for gunicorn's loop, which waits for us."""
    waiting = []
    while not arbiter.SIG_QUEUE.empty():
        waiting.append(arbiter.SIG_QUEUE.get_nowait())
    for number in waiting:
        arbiter.SIG_QUEUE.put_nowait(number)
    return not _STOPS.isdisjoint(waiting)


def _has_begun(worker: Any) -> bool:
    # A worker's first heartbeat, at the beginning of its loop, sets the file's time to the monotonic clock; until then
    # it is the time of day at which the file was made, which is decades later.
    return bool(worker.tmp.last_update() <= time.monotonic())


def _give_up(arbiter: Any, old: dict[int, Any], new: dict[int, Any]) -> None:
    """End the new workers, and keep the old ones."""
    for pid, worker in new.items():
        if arbiter.WORKERS.pop(pid, None) is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            worker.tmp.close()
    for pid, worker in old.items():
        if pid in arbiter.WORKERS:
            # gunicorn waits until no worker is older than the reload.
            arbiter.worker_age += 1
            worker.age = arbiter.worker_age
    arbiter.log.error(
        "Reload failed: the old workers go on. Mend the settings or the release, then send HUP again."
    )
