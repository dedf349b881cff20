"""A process of its own: prepares files given on the command line and prints what that cost.

``python measure_memory.py <src> <kind> <file>…`` prints a JSON object: outcome by file, growth of this process,
peak of the largest child (KB both) and CPU seconds of all children.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.ffmpeg import find_ffmpeg
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.processing.prepare import MediaPreparer


def main() -> None:
    outcomes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        preparer = MediaPreparer(Path(folder), find_ffmpeg(), parallel=2, waiting=2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name in sys.argv[3:]:
            try:
                with Path(name).open("rb") as upload, preparer.prepare(Kind(sys.argv[2]), upload) as prepared:
                    outcomes[Path(name).name] = f"{prepared.main.width}x{prepared.main.height}"
            except FileRefused:
                outcomes[Path(name).name] = "refused"
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    growth_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    cpu_s = children.ru_utime + children.ru_stime
    print(json.dumps({"outcomes": outcomes, "own": growth_kb, "child": children.ru_maxrss, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
