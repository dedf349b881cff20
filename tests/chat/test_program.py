"""The program of docs/chat.md, as it is printed: over connections that drop, with all four kinds of messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.blackbox.client import Client, code_on_terminal, generated_secrets
from tests.chat.connections import DroppingProxy, Request, requester, upload
from tests.chat.program import load_program, program_text
from tests.cli.running_server import RunningServer
from tests.media.av_samples import film, sound
from tests.media.uploads import small_photo
from tests.plugins.api import User, new_phone

ROUNDS = 12


def test_both_languages_print_the_same_program() -> None:
    assert program_text("chat.md") == program_text("chat.zh-CN.md")


class Phone:
    """A user's device behind a bad connection of its own."""

    def __init__(self, server: RunningServer, seed: int) -> None:
        appkey, appsecret = generated_secrets(server.data)
        good, number = Client(server.url, appkey, appsecret), new_phone()
        good.call("POST", "/api/auth/sendsms", phone=number)
        login = good.log_in(number, code_on_terminal(server.log, number))
        self.user = User(login.user_id, login.token, number)
        self.proxy = DroppingProxy(server.wanted_port, every_s=2, answers_lost=0.1, seed=seed)
        self.request: Request = requester(self.proxy.url, self.user, appkey, appsecret, timeout_s=10)
        pause: Callable[[float], Any] = lambda pause_s: threading.Event().wait(min(pause_s, 0.2))  # noqa: E731
        self.client = load_program()(self.request, wait=pause)
        self.said: list[tuple[str, str]] = []

    def talk_to(self, peer: User, failures: list[BaseException]) -> None:
        try:
            for number in range(ROUNDS):
                self._say(peer, "text", f"{self.user.user_id}: {number}")
                if number % 4 == 1:
                    kind, content = MEDIA[number // 4]
                    self._say(peer, kind, upload(self.request, kind, content()))
                self.client.flush()
                self.client.sync()
        except BaseException as failure:
            # Raised again by the test, in its own thread.
            failures.append(failure)

    def _say(self, peer: User, kind: str, what: str) -> None:
        self.client.write(peer.user_id, type=kind, **{"content" if kind == "text" else "mediaId": what})
        self.said.append((kind, what))


MEDIA: list[tuple[str, Callable[[], bytes]]] = [
    ("image", small_photo),
    ("audio", lambda: sound("m4a", 1.0)),
    ("video", lambda: film(size="160x120", seconds=1.0)),
]


def told_by(message: dict[str, Any]) -> tuple[str, str]:
    return message["type"], message["content"] or message["media"]["media_id"]


@pytest.mark.needs("ffmpeg")
def test_a_conversation_over_bad_connections(serve: Any) -> None:
    server = serve().wait_until_ready()
    one, other = Phone(server, 1), Phone(server, 2)
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=phone.talk_to, args=(peer.user, failures), daemon=True)
        for phone, peer in ((one, other), (other, one))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=150)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
    for phone in (one, other):
        phone.client.sync()
        assert phone.client.failed == []
        assert phone.proxy.drops >= 2
        phone.proxy.close()

    for phone in (one, other):
        shown = sorted(phone.client.messages.values(), key=lambda message: message["seq"])
        assert [message["seq"] for message in shown] == list(range(1, 2 * (ROUNDS + len(MEDIA)) + 1))
        for person in (one, other):
            sent = [told_by(it) for it in shown if it["from_uid"] == person.user.user_id]
            assert sent == person.said
