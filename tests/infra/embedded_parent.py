"""A program that owns a data folder and its Redis, for tests that kill it. Arguments: data folder, `orphan` or not.

Prints the pids of Redis and of a forked child when Redis is ready, then waits. With `orphan` the parent-death
signal is not asked for, as on systems that have none.
"""

import os
import signal
import sys
from pathlib import Path

from datingtoday.infra.server import embedded_redis
from datingtoday.infra.server.data_folder import DataFolder

if __name__ == "__main__":
    data_dir = Path(sys.argv[1])
    if sys.argv[2:] == ["orphan"]:
        embedded_redis._libc = None
    folder = DataFolder(data_dir)
    folder.take()
    redis = embedded_redis.EmbeddedRedis(data_dir)
    redis.start()
    redis.wait_until_ready()
    reading, writing = os.pipe()
    child_pid = os.fork()
    if child_pid == 0:
        # As a worker does: it lives on for a moment, and must not hold the folder.
        folder.forget()
        os.write(writing, b"let go")
        signal.pause()
    os.read(reading, 10)
    print(redis.pid, child_pid, flush=True)
    signal.pause()
