"""`datingtoday deploy render` and what stands in its way: files of others, and what cannot be read or written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.deploy.conftest import CONFIG, Certificate, Render

pytestmark = pytest.mark.needs("openssl")
Capture = pytest.CaptureFixture[str]


def test_files_of_another_origin_are_left_alone(render: Render, capsys: Capture) -> None:
    (render.out / "nginx").mkdir(parents=True)
    (render.out / "nginx/datingtoday.conf").write_text("# mine\n")
    (render.out / "notes.bin").write_bytes(b"\xff\x00")
    assert render() == 2
    assert (
        "holds files that this command has not made (nginx/datingtoday.conf, notes.bin)"
        in capsys.readouterr().err
    )
    assert sorted(path.name for path in render.out.rglob("*") if path.is_file()) == [
        "datingtoday.conf",
        "notes.bin",
    ]


@pytest.mark.parametrize(("count", "shown"), [(5, "0, 1, 2, 3, 4)"), (6, "0, 1, 2, 3, 4 …)")])
def test_no_more_than_five_of_them_are_named(render: Render, capsys: Capture, count: int, shown: str) -> None:
    render.out.mkdir()
    for number in range(count):
        (render.out / str(number)).touch()
    assert render() == 2
    assert f"holds files that this command has not made ({shown}; choose" in capsys.readouterr().err


def test_what_cannot_be_written_or_read_is_told(
    render: Render, capsys: Capture, monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    with monkeypatch.context() as full:

        def write(path: Path, text: str, **_: object) -> None:
            raise OSError(28, "No space left on device")

        full.setattr(Path, "write_text", write)
        assert render() == 2
    assert f"--out: {render.out}: cannot be used: No space left on device" in capsys.readouterr().err
    spaced = render.config.with_name("a b.ini")
    spaced.write_text(CONFIG)
    assert render(config=spaced) == 2
    assert f"--config: {spaced}: allowed: an absolute path" in capsys.readouterr().err
    assert render(certificate_key="config.ini") == 2
    assert re.search(r"one of them is no PEM file \(\[?\w.*\)\n", capsys.readouterr().err)
    monkeypatch.setattr(os, "access", lambda path, mode: path != certificate.key)
    assert render() == 2
    assert (
        f"--certificate-key: {certificate.key}: cannot be read; run this as root" in capsys.readouterr().err
    )


def test_a_file_in_place_of_the_folder(render: Render, capsys: Capture) -> None:
    render.out.write_text("")
    assert render() == 2
    assert "cannot be used: is a file" in capsys.readouterr().err
