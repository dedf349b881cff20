"""Reading with few and with many messages stored: history, sync of 50 and of 200, and an empty sync."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from benchmarks import load
from benchmarks.clients import signed_gets
from benchmarks.measuring import tell

FEW = 10_000
_CONVERSATIONS = 50
"""Number of conversations of each person; a person's stream goes through all of them."""
_BATCH = 250_000

Case = tuple[str, Callable[[int], dict[str, str]]]
"""Path, and the parameters of a reader."""


@dataclass(frozen=True)
class Side:
    """The product on servers of its own, with people who have talked."""

    talkers: Any
    web: Any


def measure(few: Side, many: Side, stored: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Milliseconds per request with only `FEW` messages, of the readers' own, and with many of others' beside them."""
    readers = few.talkers.spread(8)
    for side in (few, many):
        _fill(side.talkers, [user for user, _ in readers], FEW // len(readers))
    _fill_others(many.talkers, stored - FEW)
    cases: dict[str, Case] = {
        "newest 10": ("/api/message/list", lambda user: {"peerId": str(_peer_of(user, 3))}),
        "sync of 50": ("/api/message/sync", lambda user: {"since": "400"}),
        "sync of 200": ("/api/message/sync", lambda user: {"since": "400", "pageCount": "200"}),
        "empty sync": ("/api/message/sync", lambda user: {"since": "latest"}),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    # One round more: caches and connections are warm in what counts.
    for number in range(rounds + 1):
        for name, case in cases.items():
            sides = (few, many) if number % 2 else (many, few)
            ms = {side: _read(side, case, [user for user, _ in readers], seconds) for side in sides}
            if number:
                found[name].append({"few_ms": ms[few], "many_ms": ms[many], "ratio": ms[many] / ms[few]})
    return {
        name: {key: round(statistics.median(one[key] for one in values), 3) for key in values[0]}
        for name, values in found.items()
    }


def _read(side: Side, case: Case, users: Sequence[int], seconds: float) -> float:
    """The median time of a request in milliseconds, one after the other."""
    path, own = case
    each = [
        signed_gets(path, {**side.talkers.login(user), **own(user)}, int(400 * seconds)) for user in users
    ]
    in_turn = [request for requests in zip(*each, strict=True) for request in requests]
    return load.run(side.web.port, in_turn, connections=1, seconds=seconds).percentile_ms(0.5)


def _peer_of(user: int, number: int) -> int:
    return 10_000_000 + user * 1000 + number


def _fill(talkers: Any, users: Sequence[int], each: int) -> None:
    """Messages of these people with `_CONVERSATIONS` others each, the conversations taking turns."""
    for user in users:
        with talkers.parts.base.database.transaction() as session:
            session.execute(
                text(
                    "INSERT INTO contacts (user_id, peer_id, conversation_id, creator_id, last_seq, last_msg,"
                    " last_type, unread, read_seq, peer_read_seq, hidden_seq, known, update_ms, create_time)"
                    " SELECT :user, 10000000 + :user * 1000 + s.seq - 1, :user * 1000 + s.seq - 1, :user, :last, 'x',"
                    " 'text', 0, 0, 0, 0, 1, 1, NOW(6) FROM seq_1_to_50 s"
                ),
                {"user": user, "last": each // _CONVERSATIONS},
            )
            _insert_messages(session, user, each)
            head = session.scalar(text("SELECT head FROM inbox WHERE user_id = :user"), {"user": user})
            session.execute(
                text(
                    f"INSERT INTO chat_event SELECT :user, :head + s.seq, 1, :user * 1000 + (s.seq - 1) MOD 50,"
                    f" (s.seq - 1) DIV 50 + 1, 10000000 + :user * 1000 + (s.seq - 1) MOD 50, 0 FROM seq_1_to_{each} s"
                ),
                {"user": user, "head": head},
            )
            session.execute(
                text("UPDATE inbox SET head = head + :more WHERE user_id = :user"),
                {"more": each, "user": user},
            )


def _fill_others(talkers: Any, count: int) -> None:
    """Messages and events of people who take no part in the measurement."""
    for begin in range(0, count, _BATCH):
        user = 1_000_000 + begin // _BATCH
        each = min(_BATCH, count - begin)
        with talkers.parts.base.database.transaction() as session:
            _insert_messages(session, user, each)
            for side in (0, 1):
                session.execute(
                    text(
                        "INSERT INTO chat_event SELECT :user + :side * 500000, s.seq, 1,"
                        f" :user * 1000 + (s.seq - 1) MOD 50, (s.seq - 1) DIV 50 + 1, 1, 0 FROM seq_1_to_{each} s"
                    ),
                    {"user": user, "side": side},
                )
        tell(f"{begin + each:,} messages stored")


def _insert_messages(session: Any, user: int, each: int) -> None:
    session.execute(
        text(
            "INSERT INTO message (conversation_id, seq, from_uid, to_uid, client_id, msg_type, content, send_ms,"
            " recalled, digest) SELECT :user * 1000 + (s.seq - 1) MOD 50, (s.seq - 1) DIV 50 + 1,"
            " 10000000 + :user * 1000 + (s.seq - 1) MOD 50, :user, LEFT(MD5(s.seq), 16), 'text',"
            f" CONCAT('晚上一起看电影吗？七点半见', s.seq), 1, 0, UNHEX(SHA2(s.seq, 256)) FROM seq_1_to_{each} s"
        ),
        {"user": user},
    )
