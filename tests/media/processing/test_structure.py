"""Structure of films and photos, down to single bytes: what is whole, what is cut, and where the limits are."""

from __future__ import annotations

import io
import struct

import pytest

from datingtoday.media.processing.jpeg_segments import has_few_segments
from datingtoday.media.processing.mp4_boxes import BoxError, brands_of, check_mp4
from datingtoday.media.processing.webm_elements import is_webm, webm_is_whole
from tests.media.av_samples import box

SELF_CONTAINED = b"\0\0\0\1"
FTYP = box(b"ftyp", b"isom\0\0\2\0isommp42")
MDAT = box(b"mdat", bytes(40))


def long_box(kind: bytes, content: bytes) -> bytes:
    """A box with its length in 64 bits."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


def moov(*references: bytes) -> bytes:
    """A movie header with a data reference."""
    inside = box(b"dref", struct.pack(">II", 0, len(references)) + b"".join(references))
    for kind in (b"dinf", b"minf", b"mdia", b"trak"):
        inside = box(kind, inside)
    return box(b"moov", box(b"mvhd", bytes(100)) + inside)


HERE = box(b"url ", SELF_CONTAINED)
MOOV = moov(HERE)
FILM = FTYP + MOOV + MDAT


def whole_bytes(content: bytes) -> int | None:
    """Bytes that are kept of a film; None if it is refused."""
    try:
        return check_mp4(io.BytesIO(content))
    except BoxError:
        return None


class TestBrands:
    def test_the_minor_version_is_no_brand(self) -> None:
        file = io.BytesIO(FTYP + b"more")
        assert file.read(30) and brands_of(file) == [b"isom", b"isom", b"mp42"]
        assert brands_of(io.BytesIO(box(b"ftyp", b"qt  \0\0\0\0"))) == [b"qt  "]

    @pytest.mark.parametrize(
        ("length", "is_taken"), [(12, False), (16, True), (18, False), (1024, True), (1028, False)]
    )
    def test_length(self, length: int, is_taken: bool) -> None:
        content = struct.pack(">I4s", length, b"ftyp") + b"mp42" * 300
        assert bool(brands_of(io.BytesIO(content))) == is_taken

    def test_cut_or_another_box(self) -> None:
        for content in (FTYP[:-1], FTYP[:7], FTYP[:8], b"", MDAT):
            assert brands_of(io.BytesIO(content)) == []


class TestBoxes:
    def test_a_film_is_whole_in_any_order_and_also_in_fragments(self) -> None:
        for content in (FILM, FTYP + MDAT + MOOV, MOOV + MDAT, FTYP + MOOV + box(b"moof", b"") + MDAT):
            assert whole_bytes(content) == len(content)
            assert whole_bytes(content[:-1]) is None

    def test_the_reason_is_told(self) -> None:
        for content, reason in (
            (FTYP + MDAT, "no movie header"),
            (FILM[:-1], "does not fit"),
            (b"moo", "head"),
        ):
            with pytest.raises(BoxError, match=reason):
                check_mp4(io.BytesIO(content))

    def test_header_and_data_are_both_needed(self) -> None:
        assert whole_bytes(FTYP + MDAT) is None
        assert whole_bytes(FTYP + MOOV) is None
        assert whole_bytes(FTYP + MOOV + box(b"moof", b"")) == len(FTYP + MOOV) + 8
        assert whole_bytes(b"") is None

    @pytest.mark.parametrize(
        ("appended", "is_kept"),
        [
            (box(b"free", b"notes"), True),
            (box(b"    ", b""), True),
            (box(b"~~~~", b""), True),
            (box(b"\xa9nam", b""), True),
            (box(b"\x1fnam", b""), False),
            (box(b"nam\x7f", b""), False),
            (box(b"\xa8nam", b""), False),
            (long_box(b"free", b"notes"), True),
            (long_box(b"free", b""), True),
            (b"appended by a gallery", False),
            (b"short", False),
            (box(b"free", b"notes")[:-1], False),
            (long_box(b"free", b"notes")[:15], False),
            (struct.pack(">I4s", 8, b"free"), True),
            (struct.pack(">I4s", 7, b"free"), False),
            (struct.pack(">I4sQ", 1, b"free", 15), False),
            (struct.pack(">I4s", 0, b"free") + b"to the end", True),
        ],
    )
    def test_what_comes_after_a_film_is_kept_if_it_is_a_box_and_else_cut_off(
        self, appended: bytes, is_kept: bool
    ) -> None:
        assert whole_bytes(FILM + appended) == len(FILM) + is_kept * len(appended)

    @pytest.mark.parametrize("kind", [b"ftyp", b"moov", b"mdat", b"moof", b"sidx", b"mfra", b"styp"])
    def test_a_cut_box_of_films_is_no_appended_data(self, kind: bytes) -> None:
        for cut in (box(kind, bytes(9))[:-1], long_box(kind, b"")[:12], struct.pack(">I4s", 7, kind)):
            assert whole_bytes(FILM + cut) is None

    def test_boxes_before_the_film_is_complete_may_have_any_name(self) -> None:
        content = FTYP + box(b"\0\0\0\1", b"") + MOOV + MDAT
        assert whole_bytes(content) == len(content)

    def test_only_the_last_outermost_box_may_leave_its_length_open(self) -> None:
        content = FTYP + MOOV + struct.pack(">I4s", 0, b"mdat") + bytes(100)
        assert whole_bytes(content) == len(content)
        assert whole_bytes(FTYP + box(b"moov", struct.pack(">I4s", 0, b"trak")) + MDAT) is None

    def test_a_header_with_a_64_bit_length_is_checked_too(self) -> None:
        for references, is_whole in ((HERE, True), (box(b"url ", bytes(4)), False)):
            content = FTYP + long_box(b"moov", moov(references)[8:]) + MDAT
            assert (whole_bytes(content) == len(content)) == is_whole

    def test_boxes_inside_must_fit_exactly(self) -> None:
        for inside in (box(b"free", b"abc") + b"\0\0\0\0", box(b"free", b"abc")[:-1]):
            assert whole_bytes(FTYP + box(b"moov", inside) + MDAT) is None

    @pytest.mark.parametrize(
        ("references", "is_taken"),
        [
            ([HERE], True),
            ([HERE, HERE], True),
            ([box(b"alis", SELF_CONTAINED)], True),
            ([box(b"url ", SELF_CONTAINED + b"file:///etc/passwd\0")], True),
            ([], True),
            ([box(b"url ", b"\0\0\0\0")], False),
            ([box(b"url ", b"\0\0\0")], False),
            ([HERE, box(b"url ", b"\0\0\0\0")], False),
            ([box(b"alis", b"\0\0\0\0")], False),
            ([box(b"alis", SELF_CONTAINED + b"\0")], False),
            ([box(b"urn ", SELF_CONTAINED)], False),
        ],
    )
    def test_all_data_must_be_in_this_file(self, references: list[bytes], is_taken: bool) -> None:
        content = FTYP + moov(*references) + MDAT
        assert (whole_bytes(content) == len(content)) == is_taken

    @pytest.mark.parametrize("kind", [b"cmov", b"rmra", b"rmda", b"rdrf"])
    def test_headers_that_are_compressed_or_elsewhere(self, kind: bytes) -> None:
        assert whole_bytes(FTYP + box(b"moov", box(kind, b"")) + MDAT) is None
        assert whole_bytes(FTYP + box(b"moov", box(b"trak", box(kind, b""))) + MDAT) is None

    @pytest.mark.parametrize("kind", [b"trak", b"mdia", b"minf", b"dinf", b"edts", b"mvex", b"stbl"])
    def test_depth(self, kind: bytes) -> None:
        inside = b""
        for _ in range(7):
            inside = box(kind, inside)
        assert whole_bytes(FTYP + box(b"moov", inside) + MDAT) is not None
        assert whole_bytes(FTYP + box(b"moov", box(kind, inside)) + MDAT) is None

    def test_20_000_boxes_are_the_most(self) -> None:
        rest = box(b"free", b"") * 10_000
        in_header = box(b"free", b"") * 9_997
        film = FTYP + box(b"moov", in_header) + MDAT + rest
        assert whole_bytes(film) == len(film)
        assert whole_bytes(film + box(b"free", b"")) is None
        references = FTYP + moov(*[HERE] * 19_991) + MDAT
        assert whole_bytes(references) == len(references)
        assert whole_bytes(FTYP + moov(*[HERE] * 19_992) + MDAT) is None


def element(identifier: str, content: bytes | None, length_bytes: int = 1) -> bytes:
    """An EBML element; without content its length is unknown."""
    length = (1 << 7 * length_bytes) - 1 if content is None else len(content)
    head = (length | 1 << 7 * length_bytes).to_bytes(length_bytes, "big")
    return bytes.fromhex(identifier) + head + (content or b"")


EBML = element("1a45dfa3", element("4282", b"webm"))
TRACKS = element("1654ae6b", b"tracks")
CLUSTER = element("1f43b675", element("a3", bytes(20)))


class TestWebm:
    def test_type(self) -> None:
        assert is_webm(EBML)
        assert is_webm(EBML.replace(b"webm", b"matroska"))
        assert not is_webm(EBML.replace(b"webm", b"avif"))
        assert not is_webm(b"webm" + EBML)

    @pytest.mark.parametrize("length_bytes", range(1, 9))
    @pytest.mark.parametrize("is_known", [True, False])
    def test_a_file_is_whole_with_lengths_of_any_size_or_none(
        self, length_bytes: int, is_known: bool
    ) -> None:
        inside = TRACKS + CLUSTER + CLUSTER
        content = EBML + element("18538067", inside if is_known else None, length_bytes)
        content += b"" if is_known else inside
        assert webm_is_whole(io.BytesIO(content))
        for cut in (content[:-1], content[: -len(CLUSTER) + 2], content[: -len(CLUSTER) + 4]):
            assert not webm_is_whole(io.BytesIO(cut))
        # Data after the segment does not count, if the segment says where it ends.
        assert webm_is_whole(io.BytesIO(content + b"\0junk")) == is_known

    def test_clusters_of_unknown_length(self) -> None:
        inside = TRACKS + element("1f43b675", None, 8) + element("a3", bytes(20))
        content = EBML + element("18538067", None, 8) + inside
        assert webm_is_whole(io.BytesIO(content))
        assert not webm_is_whole(io.BytesIO(content[:-1]))
        # Nothing else may leave its length open.
        assert not webm_is_whole(io.BytesIO(content + element("a3", None)))
        assert not webm_is_whole(
            io.BytesIO(EBML + element("18538067", None) + element("1654ae6b", None) + CLUSTER)
        )

    def test_every_part_is_needed(self) -> None:
        for parts in ((TRACKS, CLUSTER), (TRACKS,), (CLUSTER,), ()):
            segment = element("18538067", b"".join(parts))
            assert webm_is_whole(io.BytesIO(EBML + segment)) == (len(parts) == 2)
            assert not webm_is_whole(io.BytesIO(segment))
        assert not webm_is_whole(io.BytesIO(EBML + TRACKS + CLUSTER))

    def test_the_first_100_000_elements_are_looked_at(self) -> None:
        begin = EBML + element("18538067", None, 8) + TRACKS + CLUSTER
        voids = element("ec", b"") * 99_995
        assert not webm_is_whole(io.BytesIO(begin + voids + b"\0"))
        assert webm_is_whole(io.BytesIO(begin + voids + element("ec", b"") + b"\0"))


class TestJpeg:
    @staticmethod
    def is_taken(segments: int, fill_bytes: int = 0, end: bytes = b"\xff\xda\0\x08") -> bool:
        comment = b"\xff\xfe\0\x05abc"
        return has_few_segments(io.BytesIO(b"\xff\xd8" + b"\xff" * fill_bytes + comment * segments + end))

    def test_1_000_segments_are_the_most(self) -> None:
        assert self.is_taken(1000)
        assert not self.is_taken(1001)

    def test_1_000_fill_bytes_are_the_most(self) -> None:
        assert self.is_taken(1, 1000)
        assert not self.is_taken(1, 1001)
        assert self.is_taken(1000, 1000)

    def test_the_image_ends_the_count_and_so_does_whatever_is_no_segment(self) -> None:
        after = b"\xff\xfe\0\x02" * 2000
        assert self.is_taken(5, 0, b"\xff\xda\0\x02" + after)
        assert self.is_taken(5, 0, b"\0\xfe\0\x02" + after)
        assert not self.is_taken(5, 0, b"\xff\xdb\0\x02" + after)

    def test_lengths_of_two_bytes(self) -> None:
        head = b"\xff\xd8" + b"\xff\xe1\x01\x04" + bytes(0x102)
        assert has_few_segments(io.BytesIO(head + b"\xff\xda\0\x02" + b"\xff\xfe\0\x02" * 2000))
        assert not has_few_segments(io.BytesIO(head + b"\xff\xfe\0\x02" * 2000))
