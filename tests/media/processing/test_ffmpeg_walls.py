"""No file makes the server open another file or a connection: each wall by itself, and all of them."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datingtoday.media.errors import FileRefused
from datingtoday.media.processing.audio_video import process_audio, process_video
from datingtoday.media.processing.ffmpeg import Ffmpeg, FfmpegFailed, find_ffmpeg
from datingtoday.media.processing.inspect import FileType, Kind, inspect_file
from tests.media import av_samples as samples
from tests.media.av_samples import box, film, sound

pytestmark = pytest.mark.needs("ffmpeg")


class Trap:
    """A listener on loopback and a sound beside the upload: what a hostile file would like to reach."""

    def __init__(self, folder: Path, server: socket.socket) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        self.file = folder / "secret.m4a"
        self.file.write_bytes(sound("m4a"))

    def sprung(self) -> bool:
        """True if anybody has connected."""
        try:
            connection, _ = self.server.accept()
        except BlockingIOError:
            return False
        connection.close()
        return True


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield Trap(tmp_path, server)


@pytest.fixture
def tools() -> Ffmpeg:
    found = find_ffmpeg()
    assert found is not None
    return found


def hls(target: str) -> bytes:
    return (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:10.0,\n{target}\n#EXT-X-ENDLIST\n"
    ).encode()


def concat(target: str) -> bytes:
    return f"ffconcat version 1.0\nfile '{target}'\n".encode()


def dash(target: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT10S" profiles="urn:mpeg:dash:profile:isoff-live:2011">'
        f'<Period><AdaptationSet><Representation id="1" mimeType="video/mp4" bandwidth="1"><BaseURL>{target}'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ).encode()


def sdp(target: str) -> bytes:
    port = target.rpartition(":")[2].partition("/")[0]
    return (
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n".encode()
    )


PLAYLISTS: dict[str, Callable[[str], bytes]] = {"hls": hls, "concat": concat, "dash": dash, "sdp": sdp}


def test_the_trap_works(trap: Trap, tmp_path: Path) -> None:
    """An ffprobe without walls walks into it."""
    file = tmp_path / "list.m3u8"
    file.write_bytes(hls(trap.url))
    command = ["ffprobe", "-v", "quiet", "-protocol_whitelist", "file,http,tcp", "-rw_timeout", "1000000"]
    with subprocess.Popen([*command, str(file)]) as process:
        try:
            trap.server.settimeout(20)
            connection, _ = trap.server.accept()
            connection.close()
        finally:
            process.kill()


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("kind", [Kind.AUDIO, Kind.VIDEO])
def test_playlists_do_not_get_to_ffmpeg(tmp_path: Path, name: str, kind: Kind) -> None:
    file = tmp_path / "upload"
    file.write_bytes(PLAYLISTS[name]("http://127.0.0.1:9/"))
    with pytest.raises(FileRefused, match=r"no known type|a playlist|a page"):
        inspect_file(file, kind)


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("file_type", [FileType.MP4, FileType.MP3, FileType.ADTS, FileType.OGG])
def test_ffmpeg_does_not_follow_playlists(
    trap: Trap, tools: Ffmpeg, tmp_path: Path, name: str, file_type: FileType
) -> None:
    """Even if one got there."""
    folder = tmp_path / "work"
    folder.mkdir()
    for target in (trap.url, str(trap.file), f"file:{trap.file}"):
        file = folder / "upload"
        file.write_bytes(PLAYLISTS[name](target))
        with contextlib.suppress(FfmpegFailed):
            assert tools.probe(file, file_type).streams == []
        with pytest.raises(FfmpegFailed):
            tools.write(file, file_type, folder / "out", ["-c", "copy", "-f", "mp4"])
        assert not (folder / "out").exists() or (folder / "out").stat().st_size == 0
    assert not trap.sprung()


def references(trap: Trap) -> list[bytes]:
    """Sounds that say that their samples are elsewhere."""
    content = sound("m4a")
    return [
        samples.elsewhere(content, b"url ", trap.url.encode() + b"\0"),
        samples.elsewhere(content, b"url ", f"file://{trap.file}\0".encode()),
        samples.elsewhere(content, b"urn ", b"x\0" + trap.url.encode() + b"\0"),
        samples.elsewhere(content, b"alis", samples.alias(str(trap.file))),
        samples.elsewhere(content, b"alis", samples.alias("secret.m4a")),
        samples.elsewhere(content, b"alis", samples.alias(str(trap.file)), flags=1),
        samples.elsewhere(content, b"rsrc", samples.alias(str(trap.file))),
    ]


def test_samples_elsewhere(trap: Trap, tmp_path: Path) -> None:
    for content in references(trap):
        file = tmp_path / "upload"
        file.write_bytes(content)
        for kind in (Kind.AUDIO, Kind.VIDEO):
            with pytest.raises(FileRefused, match="damaged"):
                inspect_file(file, kind)
    assert not trap.sprung()


def test_ffmpeg_does_not_follow_references(trap: Trap, tools: Ffmpeg, tmp_path: Path) -> None:
    """Even if they got there: the trap's sound is none of what is written, it is made unreadable for sure."""
    for content in references(trap):
        file = tmp_path / "upload"
        # The upload's own samples are gone, so that all that comes out would come from elsewhere.
        at, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
        file.write_bytes(content[:at] + bytes(end - at) + content[end:])
        try:
            process_audio(file, FileType.MP4, tools)
        except FileRefused:
            continue
        pytest.fail("sound came from somewhere")
    assert not trap.sprung()


def wide_box(kind: bytes, content: bytes, *, lie: int = 0) -> bytes:
    """A box with a length of 64 bits. :param lie: added to the length."""
    return b"\0\0\0\1" + kind + struct.pack(">Q", 16 + len(content) + lie) + content


@pytest.mark.parametrize("make", [box, wide_box])
def test_boxes_with_lengths_of_32_and_64_bits(tmp_path: Path, make: Callable[[bytes, bytes], bytes]) -> None:
    file = tmp_path / "upload"
    inner = make(b"trak", make(b"mdia", b""))
    file.write_bytes(box(b"ftyp", b"isom\0\0\0\0isom") + make(b"moov", inner) + make(b"mdat", bytes(100)))
    assert inspect_file(file, Kind.VIDEO) == FileType.MP4


@pytest.mark.parametrize("kind", [b"cmov", b"rmra", b"rmda", b"rdrf"])
def test_film_headers_elsewhere(tmp_path: Path, kind: bytes) -> None:
    content = film() + box(b"moov", box(kind, b"http://127.0.0.1:9/"))
    file = tmp_path / "upload"
    file.write_bytes(content)
    with pytest.raises(FileRefused, match="damaged"):
        inspect_file(file, Kind.VIDEO)


@pytest.mark.parametrize(
    "content",
    [
        box(b"ftyp", b"isom\0\0\0\0isom"),
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"mdat", bytes(100)),
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b""),
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b"") + b"<html>" + box(b"mdat", b""),
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b"") + box(b"mdat", b"") + b"\0\0\1\0mdatx",
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b"\0\0\0\7moov") + box(b"mdat", b""),
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b"\0\0\0\0trak") + box(b"mdat", b""),
        box(b"ftyp", b"isom\0\0\0\0isom") + b"\0\0\0\1moov" + b"\xff" * 8 + box(b"mdat", b""),
        box(b"ftyp", b"isom\0\0\0\0isom")
        + box(b"free", b"") * 30_000
        + box(b"moov", b"")
        + box(b"mdat", b""),
        # As many in all, although nowhere more than 20,000.
        box(b"ftyp", b"isom\0\0\0\0isom")
        + box(b"moov", box(b"trak", box(b"free", b"") * 15_000) * 2)
        + box(b"mdat", b""),
        # Lengths of 64 bits.
        box(b"ftyp", b"isom\0\0\0\0isom") + wide_box(b"moov", b"", lie=-1) + box(b"mdat", b""),
        box(b"ftyp", b"isom\0\0\0\0isom") + wide_box(b"moov", b"", lie=1),
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"mdat", b"") + wide_box(b"moov", b"")[:12],
        box(b"ftyp", b"isom\0\0\0\0isom") + box(b"mdat", b"") + wide_box(b"moov", box(b"cmov", b"")),
    ],
)
def test_malformed_boxes(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "upload"
    file.write_bytes(content)
    with pytest.raises(FileRefused, match="damaged"):
        inspect_file(file, Kind.VIDEO)


def test_boxes_nested_without_end(tmp_path: Path) -> None:
    inside = b""
    for _ in range(2000):
        inside = box(b"trak", inside)
    file = tmp_path / "upload"
    file.write_bytes(box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", inside) + box(b"mdat", b""))
    with pytest.raises(FileRefused, match="damaged"):
        inspect_file(file, Kind.VIDEO)


def test_a_film_without_tracks(tools: Ffmpeg, tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", b"") + box(b"mdat", b""))
    with pytest.raises(FileRefused):
        process_video(file, inspect_file(file, Kind.VIDEO), tools)
