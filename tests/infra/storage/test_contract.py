"""Contract of stores, on every store."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from datingtoday.infra.storage.storage import (
    CHUNK_BYTES,
    ObjectMissing,
    Storage,
    checked_key,
    new_key,
    variant_key,
)

CONTENT = bytes(range(256)) * 1200  # several chunks, and not a multiple of one
assert len(CONTENT) > 4 * CHUNK_BYTES and len(CONTENT) % CHUNK_BYTES

MALFORMED_KEYS = [
    "",
    ".",
    "..",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a" * 31,
    "a" * 33,
    "A" * 32,
    "g" * 32,
    "a" * 32 + "\n",
    "a" * 32 + ".",
    "a" * 32 + "./x",
    "a" * 32 + "/x",
    "a" * 32 + ".thumb.thumb",
    "a" * 32 + ".THUMB",
    "a" * 32 + "\0",
    "../" + "a" * 32,
]


def read(storage: Storage, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(storage.open_range(key, start, end))


def test_what_is_put_is_read(storage: Storage) -> None:
    key = new_key()
    storage.put(key, CONTENT, "image/jpeg")
    assert read(storage, key) == CONTENT
    assert storage.size(key) == len(CONTENT)
    assert storage.exists(key)


def test_a_file_is_copied(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    key = new_key()
    storage.put(key, source, "video/mp4")
    assert source.read_bytes() == CONTENT
    source.write_bytes(b"changed later")
    assert read(storage, key) == CONTENT


def test_chunks_are_small(storage: Storage) -> None:
    key = new_key()
    storage.put(key, CONTENT, "image/jpeg")
    sizes = [len(chunk) for chunk in storage.open_range(key)]
    assert max(sizes) <= CHUNK_BYTES
    assert min(sizes) > 0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 1),
        (0, len(CONTENT)),
        (0, len(CONTENT) + 10),
        (1, 2),
        (5, None),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (len(CONTENT) - 1, None),
        (len(CONTENT) - 1, len(CONTENT) + 5),
        (len(CONTENT), None),
        (len(CONTENT), len(CONTENT) + 1),
        (len(CONTENT) + 7, None),
        (0, 0),
        (9, 9),
    ],
)
def test_ranges(storage: Storage, start: int, end: int | None) -> None:
    key = new_key()
    storage.put(key, CONTENT, "video/mp4")
    assert read(storage, key, start, end) == CONTENT[start:end]


@pytest.mark.parametrize(("start", "end"), [(-1, None), (-5, 3), (4, 3)])
def test_nonsense_ranges(storage: Storage, start: int, end: int) -> None:
    key = new_key()
    storage.put(key, CONTENT, "video/mp4")
    with pytest.raises(ValueError, match="range"):
        storage.open_range(key, start, end)


def test_missing_objects(storage: Storage) -> None:
    key = new_key()
    assert not storage.exists(key)
    with pytest.raises(ObjectMissing):
        storage.size(key)
    for start, end in ((0, None), (0, 5), (3, 3), (7, 9)):
        # At once, while the status of the answer can still be chosen.
        with pytest.raises(ObjectMissing):
            storage.open_range(key, start, end)


def test_delete(storage: Storage) -> None:
    key = new_key()
    storage.put(key, CONTENT, "image/jpeg")
    storage.delete(key)
    assert not storage.exists(key)
    storage.delete(key)
    storage.delete(new_key())


def test_put_again_replaces(storage: Storage) -> None:
    key = new_key()
    storage.put(key, CONTENT, "image/jpeg")
    storage.put(key, b"shorter", "image/jpeg")
    assert read(storage, key) == b"shorter"
    assert storage.size(key) == 7


def test_variants_are_objects_of_their_own(storage: Storage) -> None:
    key = new_key()
    thumb = variant_key(key, "thumb")
    storage.put(key, b"full", "image/jpeg")
    assert not storage.exists(thumb)
    storage.put(thumb, b"small", "image/jpeg")
    assert read(storage, key) == b"full"
    storage.delete(key)
    assert read(storage, thumb) == b"small"


def test_an_empty_object(storage: Storage) -> None:
    key = new_key()
    storage.put(key, b"", "audio/mpeg")
    assert storage.size(key) == 0
    assert read(storage, key) == b""
    assert read(storage, key, 0, 10) == b""


def test_a_stream_may_be_left_early(storage: Storage) -> None:
    key = new_key()
    storage.put(key, CONTENT, "image/jpeg")
    stream = storage.open_range(key)
    assert CONTENT.startswith(next(stream))
    stream.close()
    stream.close()
    assert list(stream) == []
    assert read(storage, key) == CONTENT


@pytest.mark.parametrize("key", MALFORMED_KEYS)
def test_malformed_keys_reach_nothing(storage: Storage, key: str) -> None:
    for attempt in (
        lambda: storage.put(key, b"x", "image/jpeg"),
        lambda: storage.open_range(key),
        lambda: storage.size(key),
        lambda: storage.exists(key),
        lambda: storage.delete(key),
        lambda: storage.internal_path(key),
    ):
        with pytest.raises(ValueError, match="storage key"):
            attempt()


def test_readers_meet_one_version_or_the_other(storage: Storage) -> None:
    key = new_key()
    versions = [bytes([letter]) * 300_000 for letter in b"ab"]
    storage.put(key, versions[0], "image/jpeg")
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            storage.put(key, versions[turn % 2], "image/jpeg")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            assert read(storage, key) in versions
    finally:
        stop.set()
        writer.join()


def test_new_keys_are_valid_and_differ() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(checked_key(key) == key and len(key) == 32 for key in keys)
