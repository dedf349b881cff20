"""The program that decodes images as seen from outside: what it is told to do, and what its answers mean."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing import images
from datingtoday.media.processing.confined import Limits, Outcome
from datingtoday.media.processing.images import process_image
from datingtoday.media.processing.inspect import FileType, Kind

MEBIBYTE = 1024 * 1024
ALLOWED = "; allowed: JPEG, PNG, WebP or HEIC, up to 20 MB"
ALLOWED_ZH = "；允许：JPEG、PNG、WebP 或 HEIC，不超过 20 MB"


class Program:
    """Answers as it is told to, and notes how it was called."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.job: dict[str, Any] = {}
        self.limits: Limits | None = None
        self.deadline = 0.0

    def __call__(self, argv: list[str], *, folder: Path, limits: Limits, deadline: float) -> Outcome:
        self.job, self.limits, self.deadline = json.loads(argv[-1]), limits, deadline
        for name in ("full", "medium", "thumb"):
            (folder / name).write_bytes(name.encode())
        return self.outcome


def answering(monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> Program:
    program = Program(outcome)
    monkeypatch.setattr(images, "run_confined", program)
    return program


def answer(content: dict[str, Any], errors: bytes = b"") -> Outcome:
    return Outcome(0, json.dumps(content).encode(), errors, cut=False)


@pytest.mark.parametrize("kind", [Kind.PHOTO, Kind.IMAGE])
@pytest.mark.parametrize(
    ("file_type", "name", "max_pixels"),
    [
        (FileType.JPEG, "JPEG", 205_000_000),
        (FileType.PNG, "PNG", 50_000_000),
        (FileType.WEBP, "WEBP", 16_000_000),
        (FileType.HEIC, "HEIF", 52_000_000),
    ],
)
def test_what_it_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    file_type: FileType,
    name: str,
    max_pixels: int,
) -> None:
    sizes = {"full": [30, 20], "medium": [15, 10], "thumb": [3, 2]}
    program = answering(monkeypatch, answer({"images": sizes}))
    made = process_image(tmp_path / "upload.x", file_type, kind)
    assert program.job == {
        "file": "upload.x",
        "format": name,
        "max_pixels": max_pixels,
        "max_progressive_pixels": 50_000_000,
        "sizes": [["full", 2000, 85], ["medium", 720, 82], ["thumb", 240, 80]],
        "readable": {}
        if kind is Kind.PHOTO
        else {"shortest": 1080, "max_pixels": 16_000_000, "max_side": 32_000},
    }
    is_heic = file_type is FileType.HEIC
    assert program.limits == Limits(
        (600 if is_heic else 448) * MEBIBYTE, 12 if is_heic else 8, 20.0 if is_heic else 15.0, 16 * MEBIBYTE
    )
    assert program.deadline == math.inf
    told = {"full": made.full, **made.thumbs}
    assert {name: [it.width, it.height] for name, it in told.items()} == sizes
    assert {name: it.content.decode() for name, it in told.items()} == {name: name for name in sizes}


@pytest.mark.parametrize(
    ("file_type", "reason", "en", "zh"),
    [
        (
            FileType.JPEG, "pixels",
            "it has too many pixels: JPEG may have 205 megapixels (50 if progressive)",
            "像素过多：JPEG 最多 205 百万像素（渐进式为 50）",
        ),
        (
            FileType.PNG, "pixels",
            "it has too many pixels: PNG may have 50 megapixels", "像素过多：PNG 最多 50 百万像素",
        ),
        (
            FileType.HEIC, "pixels",
            "it has too many pixels: HEIC may have 52 megapixels", "像素过多：HEIC 最多 52 百万像素",
        ),
        (FileType.JPEG, "complex", "it needs too much memory", "解码所需内存过多"),
        (FileType.WEBP, "damaged", "it is damaged or not complete", "文件已损坏或不完整"),
    ],
)  # fmt: skip
def test_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_type: FileType, reason: str, en: str, zh: str
) -> None:
    answering(monkeypatch, answer({"refused": reason}, b"x" + b"y" * 200))
    with capture_logs() as logged, pytest.raises(FileRefused) as refused:
        process_image(tmp_path / "upload", file_type, Kind.PHOTO)
    assert refused.value.message("en") == f"file refused: {en}{ALLOWED}"
    assert refused.value.message("zh") == f"文件被拒绝：{zh}{ALLOWED_ZH}"
    assert logged == [
        {"event": "image_refused", "file_type": file_type, "reason": reason, "errors": "y" * 200, "log_level": "info"}
    ]  # fmt: skip


@pytest.mark.parametrize(("returncode", "cut"), [(-9, False), (0, True)])
def test_a_program_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returncode: int, cut: bool
) -> None:
    answering(monkeypatch, Outcome(returncode, b"", b"x" + b"y" * 500, cut))
    with capture_logs() as logged, pytest.raises(FileRefused) as refused:
        process_image(tmp_path / "upload", FileType.PNG, Kind.PHOTO)
    assert refused.value.message("en") == f"file refused: it is too complex or damaged{ALLOWED}"
    assert logged == [
        {
            "event": "image_decoder_died", "file_type": "png", "returncode": returncode, "cut": cut,
            "errors": "y" * 500, "log_level": "warning",
        }
    ]  # fmt: skip
