"""Many writers and readers at once, each a client of docs/chat.md, whatever happens to the server meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tests.chat.checker import Account, Sender, check
from tests.chat.connections import Request
from tests.chat.lab import pause
from tests.chat.listeners import Listener
from tests.chat.program import load_program
from tests.plugins.api import User

Connect = Callable[[User], Request]


def _wait(pause_s: float) -> None:
    """A real pause also at the end: a server that comes back is not helped by clients that ask without one."""
    pause(min(pause_s, 0.5))


class Writer:
    """A device that only writes; sometimes it reads or recalls."""

    def __init__(
        self, user: User, peers: Sequence[User], connect: Connect, seed: int, ended: threading.Event
    ):
        self.sent = Sender(user.user_id)
        self._user, self._peers, self._ended = user, peers, ended
        self._random = random.Random(seed)
        self._client = load_program()(connect(user), wait=_wait)
        self._client.keep = self.sent.acknowledged.append

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            peer = self._random.choice(self._peers)
            content = f"{self._user.user_id} → {peer.user_id}: {number}"
            self._client.write(peer.user_id, type="text", content=content)
            self.sent.attempted[self._client.outbox[0]["clientId"]] = (peer.user_id, content)
            self._client.flush()
            self._change_something(peer)
        assert not self._client.failed, self._client.failed[:3]

    def _change_something(self, peer: User) -> None:
        chance = self._random.random()
        if chance < 0.05 and self.sent.acknowledged:
            # Of this person's newest: recalled while others read, write and recall.
            message_id = self.sent.acknowledged[-1]["message_id"]
            answer = self._client.call("POST", "/api/message/recall", messageId=message_id)
            assert answer["code"] in (0, 1402, 1405), answer
            self.sent.unknown += answer["code"] == 1402
        elif chance < 0.15:
            self._client.call(
                "POST", "/api/message/read", peerId=peer.user_id, seq=self._random.randint(1, 400)
            )


class Reader:
    """A device that only follows its account's stream."""

    def __init__(self, user: User, connect: Connect, ended: threading.Event):
        self.user_id = user.user_id
        self.entries: list[dict[str, Any]] = []
        self._ended = ended
        self._client = load_program()(connect(user), wait=_wait)
        self._client.take = self.entries.append

    def run(self) -> None:
        while not self._ended.is_set():
            self._client.sync()

    def finish(self) -> None:
        """Take in what is left, once nobody writes any more."""
        self._client.sync()


class Storm:
    """Everybody writes to everybody, or (``hot``) all to the first."""

    def __init__(
        self,
        users: Sequence[User],
        connect: Connect,
        *,
        seed: int,
        hot: bool = False,
        listen: Callable[[User, threading.Event], Listener] | None = None,
    ) -> None:
        """:param listen: makes the devices that are connected to push, if there are any."""
        self._users, self._connect = users, connect
        self._ended, self._read = threading.Event(), threading.Event()
        self.writers = []
        for number, user in enumerate(users):
            peers = [peer for peer in (users[:1] if hot else users) if peer is not user]
            if peers:
                self.writers.append(Writer(user, peers, connect, seed + number, self._ended))
        self.readers = [Reader(user, connect, self._read) for user in users]
        self.listeners = [listen(user, self._read) for user in users] if listen is not None else []
        self._failures: list[BaseException] = []
        runs = [writer.run for writer in self.writers] + [reader.run for reader in self.readers]
        runs += [listener.run for listener in self.listeners]
        self._threads = [threading.Thread(target=self._guarded, args=(run,), daemon=True) for run in runs]

    @property
    def acknowledged(self) -> int:
        return sum(len(writer.sent.acknowledged) for writer in self.writers)

    @property
    def entries(self) -> int:
        """Number of stream entries followed."""
        return sum(len(reader.entries) for reader in self.readers)

    @property
    def pushed(self) -> int:
        """Number of events pushed."""
        return sum(len(listener.pushed) for listener in self.listeners)

    def raise_failures(self) -> None:
        """Raise what ended a client, if anything did."""
        if self._failures:
            raise self._failures[0]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> dict[str, int]:
        """Let everybody finish, and compare what they saw with what they were promised."""
        self._ended.set()
        self._join(self._threads[: len(self.writers)])
        self._read.set()
        self._join(self._threads[len(self.writers) :])
        for reader in self.readers:
            reader.finish()
        self.raise_failures()
        accounts = [self._seen(user, reader) for user, reader in zip(self._users, self.readers, strict=True)]
        return dict(check([writer.sent for writer in self.writers], accounts))

    def _seen(self, user: User, reader: Reader) -> Account:
        client = load_program()(self._connect(user))
        again: list[dict[str, Any]] = []
        client.take = again.append
        client.sync()
        contacts: dict[int, Any] = {}
        page: dict[str, Any] = {"pageCount": 50}
        answer = client.call("GET", "/api/contacts/list", **page)
        for row in answer["data"]["list"]:
            contacts[row["peer"]["user_id"]] = row
        histories: dict[int, list[dict[str, Any]]] = {}
        for peer_id in contacts:
            told = histories[peer_id] = []
            while True:
                after = told[-1]["seq"] if told else 0
                found = client.call("GET", "/api/message/list", peerId=peer_id, after=after, pageCount=50)[
                    "data"
                ]
                told += found["list"]
                if not found["has_next"]:
                    break
        pushed = [each for it in self.listeners if it.user_id == user.user_id for each in it.pushed]
        return Account(user.user_id, reader.entries, again, histories, contacts, pushed)

    def _guarded(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as failure:
            # `end` raises it, in the thread that everybody watches.
            self._failures.append(failure)
            self._ended.set()

    @staticmethod
    def _join(threads: Sequence[threading.Thread]) -> None:
        for thread in threads:
            thread.join(timeout=120)
            assert not thread.is_alive(), "a client got no final answer in two minutes"
