"""Cost of a payment's notification, against the bare statements that it cannot do without.

``python -m benchmarks.payments`` runs it by itself, on a database and a Redis of its own. Both sides work in this
process, one after another in short turns, and the median of the turns' ratios is reported.
"""

from __future__ import annotations

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection, text

from benchmarks.servers import product_environ, redis, sql_server

TURNS = 9
PER_TURN = 60
_INSERT_ORDER = """
INSERT INTO user_order (user_id, product_id, product_name, vip_days, fee_fen, currency, channel, trade_no, client_id,
    state, order_time, expire_at, is_closed, polls)
VALUES (:user_id, 1, 'bench', 30, 3000, 'CNY', 'sandbox', :trade_no, :trade_no, 'unpaid', :now, :later, 0, 0)
"""


@click.command()
def main() -> None:
    """Measure this machine."""
    click.echo(run())


def run(turns: int = TURNS, per_turn: int = PER_TURN) -> str:
    """The line that tells the medians."""
    from datingtoday.app import make_parts
    from datingtoday.infra import migrations
    from datingtoday.infra.config.settings import load_settings
    from datingtoday.infra.logs import configure_logs

    configure_logs("warning")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dt-bench-pay-")))
        database_uri, _ = stack.enter_context(sql_server(folder))
        redis_uri, _ = stack.enter_context(redis(folder))
        environ = product_environ(folder, database_uri=database_uri, redis_uri=redis_uri)
        parts = make_parts(load_settings(None, folder, {**environ, "DATINGTODAY_PAY_SANDBOX": "1"}))
        migrations.upgrade(database_uri)
        database = parts.base.database

        def notified(trade_no: str, user_id: int) -> Callable[[], object]:
            headers, body = _notice(parts, trade_no)
            return lambda: parts.vip.notifications.receive("sandbox", headers, body, datetime.now(UTC))

        def bare(trade_no: str, user_id: int) -> Callable[[], object]:
            def work() -> None:
                with database.statements() as connection:
                    _bare_statements(connection, trade_no, user_id)

            return work

        ratios, rates, user_id = [], [], 0
        for _ in range(turns):
            took = {}
            for make in (bare, notified):
                work = []
                for _ in range(per_turn):
                    user_id += 1
                    trade_no = _order(parts, user_id)
                    work.append(make(trade_no, user_id))
                began = time.perf_counter()
                for one in work:
                    one()
                took[make] = time.perf_counter() - began
            ratios.append(took[bare] / took[notified])
            rates.append(per_turn / took[notified])
        database.dispose()
        parts.base.guard_redis.close()
    return (
        f"notifications: {statistics.median(rates):,.0f}/s by one thread, "
        f"{statistics.median(ratios):.0%} of the bare statements"
    )


def _order(parts: Any, user_id: int) -> str:
    """An unpaid order that is paid at the sandbox."""
    trade_no = f"2026{secrets.randbelow(10**22):022d}"
    now = datetime.now(UTC).replace(tzinfo=None)
    with parts.base.database.statements() as connection:
        connection.execute(
            text(_INSERT_ORDER),
            {"user_id": user_id, "trade_no": trade_no, "now": now, "later": now + timedelta(minutes=30)},
        )
        connection.execute(
            text(
                "INSERT INTO sandbox_trade (trade_no, page_key, subject, amount_fen, currency, expire_at, state,"
                " refunded_fen) VALUES (:trade_no, :trade_no, 'bench', 3000, 'CNY', :later, 'open', 0)"
            ),
            {"trade_no": trade_no, "later": now + timedelta(minutes=30)},
        )
    return trade_no


def _notice(parts: Any, trade_no: str) -> tuple[dict[str, str], bytes]:
    now = datetime.now(UTC)
    found: tuple[dict[str, str], bytes] = parts.vip.sandbox.notice(parts.vip.sandbox.pay(trade_no, now), now)
    return found


def _bare_statements(connection: Connection, trade_no: str, user_id: int) -> None:
    """Lock the order, look whether the notice is new, pay, grant, set the deadline, note the notice."""
    now = datetime.now(UTC).replace(tzinfo=None)
    given = {
        "trade_no": trade_no, "user_id": user_id, "now": now, "until": now + timedelta(days=30), "tx": f"B{trade_no}",
    }  # fmt: skip
    found = connection.execute(text("SELECT id FROM user_order WHERE trade_no = :trade_no FOR UPDATE"), given)
    given["id"] = found.scalar_one()
    for statement in (
        "SELECT id FROM pay_notice WHERE channel = 'sandbox' AND notice_id = :tx",
        "INSERT INTO vip_info (user_id) VALUES (:user_id) ON DUPLICATE KEY UPDATE user_id = user_id",
        "UPDATE user_order SET state = 'paid', transaction_id = :tx, paid_time = :now WHERE id = :id",
        "INSERT INTO vip_grant (order_id, user_id, days, length_s, granted_at, unused_s)"
        " VALUES (:id, :user_id, 30, 2592000, :now, 0)",
        "UPDATE vip_info SET vip_deadline = :until WHERE user_id = :user_id",
        "INSERT INTO pay_notice (channel, notice_id, trade_no, kind, verdict, at, digest)"
        " VALUES ('sandbox', :tx, :trade_no, 'paid', 'granted', :now, '')",
    ):
        connection.execute(text(statement), given)


if __name__ == "__main__":
    main()
