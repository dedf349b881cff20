"""`python -m benchmarks.chat`: sending against the bare statements, and reading with many messages stored."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy import insert, text

from benchmarks import chat_bare, chat_stored, load
from benchmarks.clients import signed_gets, signed_posts
from benchmarks.measuring import MAX_OTHERS_SHARE, NotMeasurableError, tell
from benchmarks.quiet import OthersCpu
from benchmarks.servers import Web, gunicorn, pin_this_process, product_environ, redis, sql_server
from datingtoday.accounts.models import UserSession
from datingtoday.app import Parts, make_parts
from datingtoday.chat.sending import Draft
from datingtoday.infra import migrations
from datingtoday.infra.config.settings import load_settings
from datingtoday.infra.db import LONG_ANSWER_S
from datingtoday.infra.packet_transaction import PacketTransaction
from datingtoday.profiles.models import UserInfo
from datingtoday.protocol.login import digest_of, new_token

SENDERS = (8, 32)
FIRST_ID = 200_000
PEOPLE = 66
"""Enough for 32 pairs, and one whom everybody writes to."""
CONTENT = "晚上一起看电影吗？七点半在地铁口见。"


class Talkers:
    """People who are logged in and have talked once, in pairs and with one in the middle."""

    def __init__(self, environ: dict[str, str]) -> None:
        settings = load_settings(None, None, {**os.environ, **environ})
        migrations.upgrade(settings.database.uri)
        self.parts: Parts = make_parts(settings)
        self.parts.base.database.answer_s = LONG_ANSWER_S
        self.tokens = [new_token() for _ in range(PEOPLE)]
        now = datetime.now(UTC)
        with self.parts.base.database.transaction() as session:
            for number in range(PEOPLE):
                session.execute(insert(UserInfo), [_person(number, now)])
                session.execute(insert(UserSession), [_session(number, self.tokens[number], now)])
        for sender, receiver in [*self.spread(32), *self.hot(32)]:
            draft = Draft(receiver, "text", secrets.token_hex(8), CONTENT, None)
            with self.parts.base.database.transaction() as session:
                self.parts.chat.sending.send(PacketTransaction.within(session), sender, draft, now)

    @staticmethod
    def spread(senders: int) -> list[chat_bare.Pair]:
        return [(FIRST_ID + 2 * number, FIRST_ID + 2 * number + 1) for number in range(senders)]

    @staticmethod
    def hot(senders: int) -> list[chat_bare.Pair]:
        return [(FIRST_ID + 2 * number, FIRST_ID + PEOPLE - 1) for number in range(senders)]

    def login(self, user_id: int) -> dict[str, str]:
        return {"userId": str(user_id), "token": self.tokens[user_id - FIRST_ID]}

    def noops(self, count: int) -> list[bytes]:
        """Signed requests that do nothing."""
        return signed_gets("/api/noop/token", self.login(FIRST_ID), count)

    def sends(self, pairs: Sequence[chat_bare.Pair], count: int) -> list[bytes]:
        """Requests, the senders in turn."""
        made = []
        for number in range(count):
            sender, receiver = pairs[number % len(pairs)]
            own = {
                **self.login(sender), "peerId": str(receiver), "type": "text", "clientId": secrets.token_hex(8),
                "content": CONTENT,
            }  # fmt: skip
            made.append(signed_posts("/api/message/send", own))
        return made


@click.command()
@click.option("--runs", "rounds", default=5, show_default=True, help="Rounds; medians are told.")
@click.option("--seconds", default=2.0, show_default=True, help="Length of one measurement.")
@click.option(
    "--stored", default=5_000_000, show_default=True, help="Messages stored for the second part; 0: none."
)
@click.option("--any-noise", is_flag=True, help="Count disturbed rounds as well; for trying things out.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(rounds: int, seconds: float, stored: int, any_noise: bool, as_json: bool) -> None:
    """Measure chat on this machine; ratios are taken within a round. Exit codes: 0 measured, 1 not measurable."""
    pin_this_process()
    with _place() as place:
        others = OthersCpu([place.sql_pid, place.redis_pid, place.web.process.pid])
        report: dict[str, Any] = {"sending": _sending(place, rounds, seconds)}
        report["others_cpu"] = round(others.share(), 3)
        if report["others_cpu"] > MAX_OTHERS_SHARE and not any_noise:
            raise NotMeasurableError
        report["bytes_per_message"] = _bytes_per_message(place.talkers)
    if stored:
        # Servers of their own, so that few and many are read in turns: the machine's speed changes within minutes.
        with _place() as few, _place() as many:
            few_side, many_side = (chat_stored.Side(one.talkers, one.web) for one in (few, many))
            report["reading"] = chat_stored.measure(few_side, many_side, stored, rounds, seconds)
            report["bytes_per_message"] = _bytes_per_message(many.talkers)
    click.echo(json.dumps(report, indent=2) if as_json else _as_text(report))


@dataclass(frozen=True)
class _Place:
    """The product on database servers of its own, and the people on it."""

    talkers: Talkers
    web: Web
    database_uri: str
    sql_pid: int
    redis_pid: int


@contextmanager
def _place() -> Iterator[_Place]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dt-bench-")))
        database_uri, sql_pid = stack.enter_context(sql_server(folder))
        redis_uri, redis_pid = stack.enter_context(redis(folder))
        environ = product_environ(folder, database_uri=database_uri, redis_uri=redis_uri)
        environ |= {
            "DATINGTODAY_LIMITS_MESSAGES_PER_MINUTE": "60000",
            "DATINGTODAY_LIMITS_NEW_CONTACTS_PER_DAY": "1000",
        }
        tell("filling the database")
        talkers = Talkers(environ)
        web = stack.enter_context(
            gunicorn("product", folder, environ=environ, worker_class="gthread", threads=8)
        )
        yield _Place(talkers, web, database_uri, sql_pid, redis_pid)


def _sending(place: _Place, rounds: int, seconds: float) -> dict[str, Any]:
    talkers, web = place.talkers, place.web
    found: dict[str, list[dict[str, float]]] = {}
    # Once unmeasured: caches, connections and statements are warm in what counts.
    _http(web, lambda count: talkers.sends(talkers.spread(8), count), 8, seconds)
    for number in range(1, rounds + 1):
        for name, shape in (("spread", talkers.spread), ("to one", talkers.hot)):
            for senders in SENDERS:
                pairs = shape(senders)
                # All three one after the other: the machine's speed changes within a round as well.
                noop = _http(web, talkers.noops, senders, seconds)
                bare = chat_bare.run(place.database_uri, pairs, seconds)
                http = _http(web, lambda count, pairs=pairs: talkers.sends(pairs, count), senders, seconds)  # type: ignore[misc]
                case = {
                    "bare_per_second": bare.per_second,
                    "http_per_second": http["per_second"],
                    "of_bare": http["per_second"] / bare.per_second,
                    "bare_cpu_us": bare.cpu_us,
                    "send_cpu_us": http["cpu_us"],
                    "noop_cpu_us": noop["cpu_us"],
                    "cpu_to_bare": (http["cpu_us"] - noop["cpu_us"]) / bare.cpu_us,
                    "p99_ms": http["p99_ms"],
                }
                found.setdefault(f"{senders} senders, {name}", []).append(case)
                tell(
                    f"round {number}, {senders} {name}: {case['of_bare']:.0%}, CPU x{case['cpu_to_bare']:.2f}"
                )
    return {
        name: {key: round(statistics.median(case[key] for case in cases), 3) for key in cases[0]}
        for name, cases in found.items()
    }


def _http(
    web: Web, requests: Callable[[int], list[bytes]], connections: int, seconds: float
) -> dict[str, float]:
    made = requests(int(4000 * seconds))
    cpu_s = web.worker_cpu_s()
    run = load.run(web.port, made, connections=connections, seconds=seconds)
    return {
        "per_second": run.per_second,
        "cpu_us": (web.worker_cpu_s() - cpu_s) / run.requests * 1e6,
        "p99_ms": run.percentile_ms(0.99),
    }


def _bytes_per_message(talkers: Talkers) -> dict[str, float]:
    """Size of rows and indexes, as the server reports after counting again."""
    with talkers.parts.base.database.transaction() as session:
        session.execute(text("ANALYZE TABLE message, chat_event")).all()
        rows = session.execute(
            text(
                "SELECT table_name, data_length, index_length FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_name IN ('message', 'chat_event')"
            )
        ).all()
        count = session.scalar(text("SELECT COUNT(*) FROM message")) or 1
    sizes = {
        f"{name} {what}": size / count
        for name, *both in rows
        for what, size in zip(("rows", "index"), both, strict=True)
    }
    return {name: round(size, 1) for name, size in {**sizes, "together": sum(sizes.values())}.items()}


def _person(number: int, now: datetime) -> dict[str, object]:
    return {
        "id": FIRST_ID + number, "phone": f"+86137{number:08d}", "nickname": f"小明{number}", "last_active": now,
        "create_time": now, "update_time": now,
    }  # fmt: skip


def _session(number: int, token: str, now: datetime) -> dict[str, object]:
    return {
        "user_id": FIRST_ID + number, "token_hash": digest_of(token), "login_time": now,
        "last_seen": now + timedelta(hours=1), "expires_at": now + timedelta(days=7),
    }  # fmt: skip


def _as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{'':24}{'of bare':>9}{'CPU':>7}{'HTTP/s':>9}{'bare/s':>9}{'send µs':>9}{'no-op µs':>9}{'bare µs':>9}"
    ]
    for name, case in report["sending"].items():
        lines.append(
            f"{name:24}{case['of_bare']:>9.0%}{case['cpu_to_bare']:>7.2f}{case['http_per_second']:>9.0f}"
            f"{case['bare_per_second']:>9.0f}{case['send_cpu_us']:>9.0f}{case['noop_cpu_us']:>9.0f}"
            f"{case['bare_cpu_us']:>9.0f}"
        )
    for name, case in report.get("reading", {}).items():
        lines.append(
            f"{name:24}{case['few_ms']:>9.2f} ms with few messages, {case['many_ms']:.2f} ms with many:"
            f" {case['ratio']:.2f}"
        )
    lines.append(
        ", ".join(f"{name} {size:g}" for name, size in report["bytes_per_message"].items())
        + " bytes a message"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
