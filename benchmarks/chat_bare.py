"""The statements of a send, bare: what the database and its driver can do at the most, with nothing of the product."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from sqlalchemy.engine import make_url

Pair = tuple[int, int]
"""(sender, receiver)"""

LOCK = (
    "SELECT STRAIGHT_JOIN k.conversation_id, k.last_seq, a.head, b.head FROM contacts k"
    " JOIN inbox a ON a.user_id = k.user_id JOIN inbox b ON b.user_id = k.peer_id"
    " WHERE k.user_id = %s AND k.peer_id = %s FOR UPDATE"
)
MESSAGE = (
    "INSERT INTO message (conversation_id, seq, from_uid, to_uid, client_id, msg_type, content, send_ms, recalled,"
    " digest) VALUES (%s, %s, %s, %s, %s, 'text', %s, %s, 0, %s)"
)
EVENTS = (
    "INSERT INTO chat_event (user_id, pos, kind, conversation_id, seq, peer_id, by_me)"
    " VALUES (%s, %s, 1, %s, %s, %s, %s), (%s, %s, 1, %s, %s, %s, %s)"
)
HEADS = "UPDATE inbox SET head = head + 1 WHERE user_id IN (%s, %s)"
CONTACTS = (
    "UPDATE contacts SET last_seq = %s, last_msg = %s, last_type = 'text', unread = unread + (user_id = %s),"
    " update_ms = %s WHERE (user_id = %s AND peer_id = %s) OR (user_id = %s AND peer_id = %s)"
)


@dataclass(frozen=True)
class Bare:
    """One measurement."""

    per_second: float
    cpu_us: float
    """CPU time of this process per message."""


def run(uri: str, pairs: Sequence[Pair], seconds: float) -> Bare:
    """Send for some time, one thread and one connection a pair."""
    ended = threading.Event()
    counts = [0] * len(pairs)
    connections = [_connect(uri) for _ in pairs]

    def send(number: int) -> None:
        while not ended.is_set():
            _send(connections[number], pairs[number])
            counts[number] += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(pairs))]
    began_cpu_s, began_s = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    ended.set()
    for thread in threads:
        thread.join()
    cpu_s, elapsed_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
    for connection in connections:
        connection.close()
    return Bare(sum(counts) / elapsed_s, cpu_s / max(1, sum(counts)) * 1e6)


def _connect(uri: str) -> Any:
    arguments: dict[str, Any] = make_url(uri).translate_connect_args(username="user")
    return pymysql.connect(
        **arguments,
        charset="utf8mb4",
        init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )


def _send(connection: Any, pair: Pair) -> None:
    sender, receiver = pair
    low, high = sorted(pair)
    now_ms = time.time_ns() // 1_000_000
    with connection.cursor() as cursor:
        cursor.execute(LOCK, (low, high))
        conversation, last_seq, low_head, high_head = cursor.fetchone()
        seq, content = last_seq + 1, "晚上一起看电影吗？七点半在地铁口见。"
        heads = {low: low_head + 1, high: high_head + 1}
        cursor.execute(
            MESSAGE,
            (conversation, seq, sender, receiver, secrets.token_hex(8).encode(), content, now_ms, b"\0" * 32),
        )
        cursor.execute(
            EVENTS,
            (sender, heads[sender], conversation, seq, receiver, 1,
             receiver, heads[receiver], conversation, seq, sender, 0),
        )  # fmt: skip
        cursor.execute(HEADS, (low, high))
        cursor.execute(CONTACTS, (seq, content, receiver, now_ms, low, high, high, low))
    connection.commit()
