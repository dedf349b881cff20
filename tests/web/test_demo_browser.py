"""The demo in Debian's Chromium against a running server, and the TypeScript client against the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datingtoday.cli import main as cli
from tests.cli.running_server import RunningServer
from tests.media import av_samples, image_samples
from tests.plugins.tools import program

JS = Path(__file__).with_name("js")
CLIENT = Path(__file__).parents[2] / "clients" / "typescript"
PEOPLE = ("13800000001", "888888", "13800000002", "888888")


@pytest.fixture(scope="module")
def server(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The embedded default on its first start, with the demo's story."""
    running = RunningServer(run_folder / tmp_path_factory.mktemp("demo").name / "data", "--seed", "200")
    try:
        yield running.wait_until_ready()
    finally:
        running.end()


def use_demo(server: RunningServer, story: str, *files: Path, pictures: Path) -> None:
    node, chromium = program("node"), program("chromium", "chromium-browser", "google-chrome")
    assert node
    assert chromium
    done = subprocess.run(
        [node, JS / "demo.mjs", chromium, server.url, pictures, story, *files],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.browser
@pytest.mark.needs("playwright-core")
def test_two_people_talk(server: RunningServer, tmp_path: Path) -> None:
    use_demo(server, "talk", pictures=tmp_path)
    assert (tmp_path / "two-phones.png").stat().st_size > 20_000


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.needs("playwright-core", "ffmpeg")
@pytest.mark.timeout(600)
def test_the_whole_demo(server: RunningServer, tmp_path: Path) -> None:
    """Four kinds of messages, recall, an answering person, VIP and visitors, every page at two widths."""
    for visitor in (2, 3):
        look = [
            "call",
            "GET",
            "/api/user/show",
            f"peerId={_id_of(server, 1)}",
            "--as",
            f"1380000000{visitor}",
        ]
        assert cli.run([*look, "--data", str(server.data), "--config", "/dev/null", "--url", server.url]) == 0
    picture, film = tmp_path / "picture.jpg", tmp_path / "film.mp4"
    picture.write_bytes(image_samples.saved(image_samples.photo(), "JPEG"))
    film.write_bytes(av_samples.film())
    use_demo(server, "whole", picture, film, pictures=tmp_path)
    assert len(list(tmp_path.glob("*.png"))) >= 24
    if kept := os.environ.get("DEMO_PICTURES"):
        # Pictures to look at, and docs/images/demo.png among them as two-phones.png.
        shutil.copytree(tmp_path, kept, dirs_exist_ok=True)


@pytest.mark.needs("typescript-client")
def test_the_typescript_client(server: RunningServer, tmp_path: Path) -> None:
    """Vectors, clock, errors, and twelve messages over a connection that loses two requests of three."""
    node = program("node")
    assert node
    compiler = CLIENT / "node_modules" / "typescript" / "bin" / "tsc"
    built, live = CLIENT / "dist", CLIENT / "test" / "live.mjs"
    subprocess.run([node, compiler, "-p", CLIENT, "--outDir", built], check=True, timeout=120)
    secrets = dict(
        line.split(" = ", 1)
        for line in (server.data / "secrets.ini").read_text().splitlines()
        if line.startswith("app")
    )
    done = subprocess.run(
        [node, live, built / "index.js", server.url, secrets["appkey"], secrets["appsecret"], *PEOPLE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["messages"] == 12


def _id_of(server: RunningServer, number: int) -> int:
    from datingtoday.cli.api_client import ApiClient
    from datingtoday.infra.config.settings import load_settings

    client = ApiClient(load_settings("/dev/null", server.data, {}), server.url)
    return int(client.login(f"1380000000{number}", None)["userId"])
