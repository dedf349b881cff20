"""No upload makes a peak: neither in the server, nor a large one beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

import datingtoday.media.processing.images
from tests.media import image_samples as samples
from tests.media.av_samples import film
from tests.media.heic_sample import heic
from tests.media.image_samples import photo, saved

SOURCE = Path(datingtoday.media.processing.images.__file__).parents[2]
OWN_MB = 24
"""Memory that the server itself may need: results are kept in memory, decoded images are not."""
PHOTO_MB = 80
"""A 12-megapixel photo is 48 MB when it is decoded at full size."""
WORST_MB = 430


@dataclass(frozen=True)
class Cost:
    outcomes: Mapping[str, str]
    own_mb: float
    child_mb: float
    cpu_s: float


def cost(folder: Path, kind: str, files: Mapping[str, bytes]) -> Cost:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    script = Path(__file__).with_name("measure_memory.py")
    command = [sys.executable, str(script), str(SOURCE), kind, *(str(folder / name) for name in files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    answer = json.loads(done.stdout.splitlines()[-1])
    return Cost(answer["outcomes"], answer["own"] / 1024, answer["child"] / 1024, answer["cpu_s"])


def test_a_photo_of_twelve_megapixels(tmp_path: Path) -> None:
    content = saved(photo(4000, 3000), "JPEG", quality=92)
    assert len(content) > 500_000
    used = cost(tmp_path, "photo", {"photo": content})
    assert used.outcomes == {"photo": "2000x1500"}
    assert used.own_mb < OWN_MB
    assert used.child_mb < PHOTO_MB
    assert used.cpu_s < 2


def test_the_largest_that_are_taken(tmp_path: Path) -> None:
    files = {
        "sequential jpeg": saved(Image.new("RGB", (8160, 6120)), "JPEG"),
        "progressive jpeg": saved(Image.new("RGB", (8160, 6120)), "JPEG", progressive=True, subsampling=0),
        "png": samples.png(7000, 7000, color=6),
        "webp": saved(Image.new("RGBA", (3990, 3990), "red"), "WEBP", lossless=True, method=0),
    }
    used = cost(tmp_path, "photo", files)
    assert "refused" not in used.outcomes.values()
    assert used.own_mb < OWN_MB
    assert used.child_mb < WORST_MB


@pytest.mark.needs("ffmpeg")
def test_the_largest_heic(tmp_path: Path) -> None:
    used = cost(tmp_path, "photo", {"heic": heic(8192, 6144, tile=512)})
    assert used.outcomes == {"heic": "2000x1500"}
    assert used.own_mb < OWN_MB
    assert used.child_mb < WORST_MB


def test_bombs(tmp_path: Path) -> None:
    files = {
        "jpeg": samples.jpeg_claiming(65_000, 65_000),
        "progressive": samples.jpeg_claiming(8_000, 7_000, saved(photo(64, 64), "JPEG", progressive=True)),
        "png": samples.png(30_000, 30_000, b""),
        "webp": samples.webp_claiming(16_383, 16_383),
        "webp below twice the limit": samples.webp_claiming(5_600, 5_600),
        "noise": bytes(range(256)) * 40_000,
    }
    used = cost(tmp_path, "photo", files)
    assert set(used.outcomes.values()) == {"refused"}
    assert used.own_mb < OWN_MB
    assert used.child_mb < PHOTO_MB


@pytest.mark.needs("ffmpeg")
def test_a_large_film(tmp_path: Path) -> None:
    content = film(size="1920x1080", seconds=5.0, more="-b:v 24M -minrate 24M -x264-params nal-hrd=cbr")
    assert len(content) > 8_000_000
    used = cost(tmp_path, "video", {"film": content})
    assert used.outcomes == {"film": "1920x1080"}
    assert used.own_mb < 8  # Films are not read into memory at all, only their small pictures.
    assert used.child_mb < 200
