"""Answers of ffprobe, which leaves out and words freely what a file does not say, and failures of both programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datingtoday.media.processing import ffmpeg
from datingtoday.media.processing.confined import Outcome
from datingtoday.media.processing.ffmpeg import CodecNotAllowed, Ffmpeg, FfmpegFailed, Probe, Stream
from datingtoday.media.processing.inspect import FileType

TOOLS = Ffmpeg("/usr/bin/ffmpeg", "/usr/bin/ffprobe")


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the programs end with an outcome."""

    def put_in(outcome: Outcome) -> None:
        monkeypatch.setattr(ffmpeg, "run_confined", lambda *_, **__: outcome)

    return put_in


def probed(ends_with: Any, answer: dict[str, Any]) -> Probe:
    ends_with(Outcome(0, json.dumps(answer).encode(), b"", cut=False))
    return TOOLS.probe(Path("upload"), FileType.MP4)


@pytest.mark.parametrize(
    ("duration", "duration_ms"),
    [
        ("1.5", 1500), ("0", 0), ("999999999", 999_999_999_000), ("1e9", 0), ("N/A", 0), ("nan", 0), ("inf", 0),
        (None, 0), ("0.001", 1),
    ],
)  # fmt: skip
def test_durations(ends_with: Any, duration: str | None, duration_ms: int) -> None:
    assert probed(ends_with, {"format": {"duration": duration}}).duration_ms == duration_ms
    assert probed(ends_with, {}) == Probe([], 0)


def test_streams(ends_with: Any) -> None:
    full = {
        "index": 3, "codec_type": "video", "codec_name": "h264", "width": 640, "height": 480,
        "side_data_list": [{"other": 1}, {"rotation": -90}, {"rotation": 180}],
        "disposition": {"attached_pic": 1}, "color_space": "bt709", "color_transfer": "smpte2084",
        "color_primaries": "bt2020",
    }  # fmt: skip
    unknown = {"index": 0, "color_space": "unknown", "color_transfer": "reserved", "color_primaries": None}
    assert list(probed(ends_with, {"streams": [full, unknown]}).streams) == [
        Stream(3, "video", "h264", 640, 480, -90, True, "bt709", "smpte2084", "bt2020"),
        Stream(0, "unknown", "unknown", 0, 0, 0, False, "", "", ""),
    ]
    broken = {"index": 1, "side_data_list": [{"rotation": "N/A"}]}
    assert probed(ends_with, {"streams": [broken]}).streams[0].rotation == 0


@pytest.mark.parametrize(
    "outcome", [Outcome(1, b"{}", b"why", cut=False), Outcome(0, b"{}", b"why", cut=True)]
)
def test_a_failure_says_why(ends_with: Any, outcome: Outcome) -> None:
    ends_with(outcome)
    with pytest.raises(FfmpegFailed, match=f"ended with {outcome.returncode}, cut: {outcome.cut}: why"):
        TOOLS.probe(Path("upload"), FileType.MP4)


def test_the_last_500_bytes_of_what_it_said_are_kept(ends_with: Any) -> None:
    ends_with(Outcome(1, b"", b"x" + b"y" * 499 + b"z", cut=False))
    with pytest.raises(FfmpegFailed) as caught:
        TOOLS.probe(Path("upload"), FileType.MP4)
    assert str(caught.value).endswith(": " + "y" * 499 + "z")


def test_a_codec_that_is_not_allowed_is_named(ends_with: Any) -> None:
    ends_with(Outcome(1, b"", b"[mpeg4 @ 0x1] Codec (mpeg4) not on whitelist 'h264'\n", cut=False))
    with pytest.raises(CodecNotAllowed, match="codec mpeg4 is not allowed") as caught:
        TOOLS.probe(Path("upload"), FileType.MP4)
    assert caught.value.codec == "mpeg4"


@pytest.mark.parametrize("content", [None, b"", b"x"])
def test_a_program_that_wrote_nothing_has_failed(
    tmp_path: Path, ends_with: Any, content: bytes | None
) -> None:
    ends_with(Outcome(0, b"", b"", cut=False))
    target = tmp_path / "out"
    if content is not None:
        target.write_bytes(content)
    if content:
        TOOLS.write(tmp_path / "upload", FileType.MP4, target, [])
        return
    with pytest.raises(FfmpegFailed, match="wrote nothing"):
        TOOLS.write(tmp_path / "upload", FileType.MP4, target, [])


def test_the_program_that_is_missing_is_named(tmp_path: Path) -> None:
    for name, missing in (("ffmpeg", "ffprobe"), ("ffprobe", "ffmpeg")):
        folder = tmp_path / name
        folder.mkdir()
        program = folder / name
        program.touch()
        program.chmod(0o755)
        with pytest.raises(ValueError, match=f"no program {missing} in"):
            ffmpeg.find_ffmpeg(str(folder))
