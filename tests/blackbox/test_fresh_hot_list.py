"""The hot list of a server that has just started, as a developer who tries two accounts sees it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.blackbox.client import Client, Login, generated_secrets
from tests.cli.running_server import RunningServer
from tests.plugins.api import new_phone
from tests.plugins.polling import wait_until

PATH = "/api/user/hot/list"
_TAG_BYTES = 9
"""Signature before the position that a cursor holds."""


@pytest.fixture
def server(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """On its first start, with made-up people; every account's attention counts at once."""
    data = run_folder / tmp_path_factory.mktemp("fresh").name / "data"
    running = RunningServer(data, "--seed", "60", DISCOVERY_HOT_GIVER_DAYS="0")
    try:
        yield running.wait_until_ready()
    finally:
        running.end()


def new_login(client: Client) -> Login:
    phone = new_phone()
    return client.log_in(phone, client.call("POST", "/api/auth/sendsms", phone=phone)["data"]["code"])


def page(client: Client, login: Login, **own: Any) -> dict[str, Any]:
    answer = client.call("GET", PATH, login, **own)
    assert answer["code"] == 0, answer
    found: dict[str, Any] = answer["data"]
    return found


def ids(found: dict[str, Any]) -> list[int]:
    return [card["user_id"] for card in found["list"]]


def rest(client: Client, login: Login, cursor: str | None) -> list[int]:
    """Everybody after a cursor."""
    found: list[int] = []
    while cursor is not None:
        data = page(client, login, cursor=cursor, pageCount=10)
        found += ids(data)
        cursor = data["next"]
    return found


def edition_of(cursor: str) -> str:
    """Name of the edition in which a cursor goes on; "" if SQL served the page."""
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    return str(json.loads(raw[_TAG_BYTES:])[0])


def test_right_after_a_start_nobody_is_skipped_and_nothing_waits(server: RunningServer) -> None:
    client = Client(server.url, *generated_secrets(server.data))
    viewer = new_login(client)
    first = page(client, viewer, pageCount=25)
    assert edition_of(first["next"]), "the very first page is of an edition, made before anybody was served"
    everybody = set(ids(first)) | set(rest(client, viewer, first["next"]))
    assert len(everybody) >= 50
    riser = rest(client, viewer, first["next"])[-1]

    # A user rises from the end to the first page while the viewer reads it.
    for _ in range(8):
        giver = new_login(client)
        client.call("POST", "/api/user/follow", giver, peerId=riser)
        client.call("POST", "/api/message/send", giver, peerId=riser, type="text", clientId="1", content="hi")
    wait_until(
        lambda: riser in ids(page(client, viewer, pageCount=25)),
        "the riser on the first page",
        deadline_s=40,
        every_s=1,
    )
    seen = ids(first) + rest(client, viewer, first["next"])
    assert riser in seen, "who rose meanwhile is not skipped"
    assert len(seen) == len(set(seen)), "nobody comes twice"
    assert set(seen) == everybody

    # A second account is seen within seconds.
    began = time.monotonic()
    newcomer = new_login(client)
    wait_until(
        lambda: newcomer.user_id in ids(page(client, viewer, pageCount=50)),
        "the newcomer",
        deadline_s=40,
        every_s=1,
    )
    assert time.monotonic() - began < 35, "not after hot_refresh_s"

    # A change of wishes counts for the own list with the next request.
    def genders(**wishes: int) -> set[int]:
        assert client.call("POST", "/api/user/update", viewer, **wishes)["code"] == 0
        return {card["gender"] for card in page(client, viewer, pageCount=50)["list"]}

    assert genders(gender=1, sexual=2) == {2}
    assert genders(sexual=1) == {1}
    assert genders(gender=2, sexual=1) == {1}
    assert genders(gender=0, sexual=0) >= {1, 2}
