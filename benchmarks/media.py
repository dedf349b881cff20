"""Cost of uploading a 12-megapixel photo: CPU time and peak memory, through the service.

``python -m benchmarks.media`` runs it by itself, on SQLite and a local store in a temporary folder.
"""

from __future__ import annotations

import io
import os
import re
import resource
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import click
from PIL import Image

WIDTH, HEIGHT = 4032, 3024
UPLOADS = 5


def run(uploads: int = UPLOADS) -> str:
    """Upload so many times, one after another; the line that tells the medians."""
    from datingtoday.app import make_parts
    from datingtoday.infra import migrations
    from datingtoday.infra.config.settings import load_settings
    from datingtoday.media.processing.inspect import Kind

    photo = _photo()
    cpu_s: list[float] = []
    wall_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="dt-bench-media-") as folder:
        environ = {
            "DATINGTODAY_DATABASE_URI": f"sqlite:///{folder}/bench.db",
            # Never reached: uploads need no Redis.
            "DATINGTODAY_REDIS_URI": f"unix://{folder}/none.sock",
            "DATINGTODAY_SECURITY_SECRET_KEY": "b0" * 32,
        }
        settings = load_settings(os.devnull, Path(folder), environ)
        migrations.upgrade(settings.database.uri)
        parts = make_parts(settings)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(uploads):
            began_cpu_s, began_s = _cpu_s(), time.perf_counter()
            parts.media.service.upload(1, Kind.PHOTO, io.BytesIO(photo), datetime.now(UTC))
            cpu_s.append(_cpu_s() - began_cpu_s)
            wall_s.append(time.perf_counter() - began_s)
        # Watched in an upload of its own, since watching costs time.
        with _ChildrenPeak() as peak:
            parts.media.service.upload(1, Kind.PHOTO, io.BytesIO(photo), datetime.now(UTC))
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
        parts.base.database.dispose()
    return (
        f"upload of a {WIDTH}x{HEIGHT} JPEG ({len(photo) / 1e6:.1f} MB), median of {uploads}: "
        f"{statistics.median(cpu_s):.2f} s of CPU, {statistics.median(wall_s):.2f} s; "
        f"peak of the decoder {peak.kb / 1024:.0f} MiB, server grew by {grown_kb / 1024:.0f} MiB"
    )


def _photo() -> bytes:
    """With slopes and grain, as a camera's; about as large as theirs."""
    size = (WIDTH, HEIGHT)
    grain = Image.effect_noise((WIDTH // 2, HEIGHT // 2), 40).resize(size)
    bands = [Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size), grain]
    stream = io.BytesIO()
    Image.merge("RGB", bands).save(stream, "JPEG", quality=92)
    return stream.getvalue()


class _ChildrenPeak:
    """The most memory that one child of this process had at once, in KB, while it was watched.

    Not `ru_maxrss` of children: that begins with what their parent had when it forked.
    """

    def __init__(self) -> None:
        self.kb = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._own = Path("/proc/self/cmdline").read_bytes()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.002):
            for task in Path("/proc/self/task").iterdir():
                try:
                    children = (task / "children").read_text().split()
                except OSError:
                    continue  # The thread has ended.
                for child in children:
                    self.kb = max(self.kb, self._peak_kb(Path("/proc") / child))

    def _peak_kb(self, process: Path) -> int:
        try:
            if process.joinpath("cmdline").read_bytes() == self._own:
                return 0  # Forked, and still our own memory.
            status = process.joinpath("status").read_text()
        except OSError:
            return 0  # It has ended.
        found = re.search(r"VmHWM:\s*([0-9]+) kB", status)
        return int(found[1]) if found else 0


def _cpu_s() -> float:
    """CPU time of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


if __name__ == "__main__":
    click.echo(run())
