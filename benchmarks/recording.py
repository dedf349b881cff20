"""Recording off the path of requests: visits and attention per second, against the bare statements.

``python -m benchmarks.recording`` runs it by itself, on a database server and a Redis of its own.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click
import pymysql
from sqlalchemy.engine import make_url

from benchmarks.servers import product_environ, redis, sql_server
from datingtoday.app import Parts, make_parts
from datingtoday.discovery.hot.ranking import day_of
from datingtoday.infra import migrations
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.stream_reader import StreamReader
from datingtoday.infra.streams import BATCH, Entry
from datingtoday.profiles.models import UserInfo

ROUNDS = 9
ENTRIES = 4 * BATCH
_OWNERS = 1_000
_FIRST_ID = 300_000
_VISITS_SQL = (
    "INSERT INTO visitor (user_id, visitor_id, visit_time, visits, status) VALUES (%s, %s, %s, 1, 0) "
    "ON DUPLICATE KEY UPDATE visits = visits + VALUES(visits), visit_time = VALUES(visit_time), status = 0"
)
_ATTENTION_SQL = (
    "INSERT INTO hot_attention (user_id, day, peer_id, weight) VALUES (%s, %s, %s, 1) "
    "ON DUPLICATE KEY UPDATE weight = weight"
)
_DAY_SQL = (
    "INSERT INTO hot_day (user_id, day, weight, people, active) VALUES (%s, %s, 1, 1, 0) "
    "ON DUPLICATE KEY UPDATE weight = weight + 1, people = people + 1"
)
_PLACE_SQL = (
    "INSERT INTO hot_person (user_id, attention, bonus, score) VALUES (%s, 0, 0, 0) "
    "ON DUPLICATE KEY UPDATE attention = attention + 0.001, score = attention + bonus"
)


def run(rounds: int = ROUNDS) -> list[str]:
    """Measure in alternating rounds; a line for each stream with the medians."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dt-bench-recording-")))
        database_uri, _ = stack.enter_context(sql_server(folder))
        redis_uri, _ = stack.enter_context(redis(folder))
        environ = product_environ(folder, database_uri=database_uri, redis_uri=redis_uri)
        settings = load_settings(
            None, None, {**os.environ, **environ, "DATINGTODAY_DISCOVERY_HOT_GIVER_DAYS": "0"}
        )
        migrations.upgrade(settings.database.uri)
        parts = make_parts(settings)
        stack.callback(parts.base.close)
        _insert_people(parts)
        url = make_url(database_uri).translate_connect_args(username="user")
        connection = stack.enter_context(pymysql.connect(**url, charset="utf8mb4", autocommit=False))
        return [
            _measure(parts, "visits", _visits, lambda rows: _bare_visits(connection, rows), rounds),
            _measure(parts, "attention", _attention, lambda rows: _bare_attention(connection, rows), rounds),
        ]


def _measure(
    parts: Parts,
    name: str,
    make: Callable[[int], list[Entry]],
    bare: Callable[[Sequence[Entry]], None],
    rounds: int,
) -> str:
    ratios: list[float] = []
    per_s: list[float] = []
    product_s = 0.0
    reader = StreamReader(parts.base.streams, parts.base.streams[name], "bench", idle_ms=60_000)
    for number in range(2 * rounds):
        rows = make(number)
        began = time.perf_counter()
        if number % 2:
            for start in range(0, len(rows), BATCH):
                bare(rows[start : start + BATCH])
            ratios.append((time.perf_counter() - began) / product_s)
            continue
        for entry in rows:
            parts.base.streams.note(name, entry)
        parts.base.streams.flush()
        while reader.step():
            pass
        product_s = time.perf_counter() - began
        per_s.append(len(rows) / product_s)
    return (
        f"{name}: {statistics.median(per_s):.0f} recorded per second (noted, sent, read, folded, committed), "
        f"{statistics.median(ratios):.0%} of the bare statements in batches of {BATCH}; {rounds} rounds"
    )


def _visits(number: int) -> list[Entry]:
    now_us = time.time_ns() // 1000
    return [[_FIRST_ID + at % _OWNERS, 1_000_000 + number * ENTRIES + at, now_us] for at in range(ENTRIES)]


def _attention(number: int) -> list[Entry]:
    now = datetime.now(UTC)
    return [
        [_FIRST_ID + at % _OWNERS, day_of(now), 2_000_000 + number * ENTRIES + at, 1, int(now.timestamp())]
        for at in range(ENTRIES)
    ]


def _bare_visits(connection: pymysql.Connection, rows: Sequence[Entry]) -> None:
    at = datetime.fromtimestamp(rows[0][2] / 1e6, UTC).replace(tzinfo=None)
    with connection.cursor() as cursor:
        cursor.executemany(_VISITS_SQL, sorted((user_id, visitor_id, at) for user_id, visitor_id, _ in rows))
    connection.commit()


def _bare_attention(connection: pymysql.Connection, rows: Sequence[Entry]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(_PLACE_SQL, sorted((row[0],) for row in rows))
        cursor.executemany(_DAY_SQL, sorted((row[0], row[1]) for row in rows))
        cursor.executemany(_ATTENTION_SQL, sorted((row[0], row[1], row[2]) for row in rows))
    connection.commit()


def _insert_people(parts: Parts) -> None:
    now = datetime.now(UTC)
    with parts.base.database.transaction() as session:
        for number in range(_OWNERS):
            session.add(
                UserInfo(
                    id=_FIRST_ID + number, phone=f"+86137{number:08d}", nickname=f"小红{number}", gender=1,
                    last_active=now, create_time=now, update_time=now,
                )
            )  # fmt: skip
    parts.discovery.rebuild.reindex_all(lambda done: None)


@click.command()
@click.option("--rounds", default=ROUNDS, show_default=True)
def main(rounds: int) -> None:
    """Measure this machine."""
    for line in run(rounds):
        click.echo(line)


if __name__ == "__main__":
    main()
