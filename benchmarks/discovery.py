"""Benchmark of hot list, search and nearby, at several numbers of people; see `measuring.py`.

``python -m benchmarks.discovery --users 10000 --users 100000``. The people are those of `datingtoday seed`; the
requests of each case come from hundreds of them, in turn.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import click

from benchmarks import load
from benchmarks.measuring import (
    BARE,
    TOKEN,
    Case,
    How,
    conditions,
    measure_rounds,
    measuring_options,
    table,
    tell,
)
from benchmarks.seeded import Asking, Seeded, Viewer, with_full_page
from benchmarks.servers import SQL_NAME, Web, gunicorn, pin_this_process, product_environ, redis, sql_server
from datingtoday.cli.seeding.people import GIVEN, SURNAMES

HOT, SEARCH, NEARBY = "/api/user/hot/list", "/api/user/search", "/api/user/nearby/list"
DEEP_PAGE = 500
LEAST_USERS = 10_000
"""With fewer nobody's hot list has so many pages."""
_PER_SECOND = 8_000
SEARCHES: dict[str, dict[str, str]] = {
    "search, no filter": {},
    "search, 1 filter": {"gender": "2"},
    "search, 2 filters": {"gender": "2", "ageMin": "22", "ageMax": "30"},
    "search, 3 filters": {"gender": "2", "ageMin": "22", "ageMax": "30", "education": "3"},
    "search, hardly anybody": {"gender": "2", "heightMin": "180", "education": "5", "salaryMin": "6"},
}


@click.command()
@click.option(
    "--users",
    "numbers",
    type=click.IntRange(LEAST_USERS),
    multiple=True,
    default=[10_000],
    show_default=True,
    help="How many people there are; may be given several times.",
)
@click.option(
    "--viewers", default=300, show_default=True, help="How many people make the requests of a case."
)
@measuring_options(runs=7, seconds=0.5)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(numbers: tuple[int, ...], viewers: int, how: How, as_json: bool) -> None:
    """Measure discovery. Exit codes: 0 measured, 1 not measurable (too much else goes on), 2 usage."""
    pin_this_process()
    reports = {}
    for users in numbers:
        reports[users] = _measure(users, viewers, how)
        if not as_json:
            click.echo(_as_text(users, reports[users], how))
    if as_json:
        click.echo(json.dumps(reports, indent=2))
    elif len(numbers) > 1:
        click.echo(_growth(reports))


def _measure(users: int, viewers: int, how: How) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dt-bench-")))
        tell(f"starting {SQL_NAME}, Redis and two gunicorns, for {users} people")
        database_uri, sql_pid = stack.enter_context(sql_server(folder))
        redis_uri, redis_pid = stack.enter_context(redis(folder))
        environ = product_environ(folder, database_uri=database_uri, redis_uri=redis_uri)
        seeded = stack.enter_context(closing(Seeded(environ, users)))
        options: dict[str, Any] = {
            "environ": environ,
            "worker_class": how.worker_class,
            "threads": how.threads,
        }
        bare = stack.enter_context(gunicorn("hello", folder, **options))
        product = stack.enter_context(gunicorn("product", folder, **options))
        cases = _cases(seeded, bare, product, viewers)
        pids = [sql_pid, redis_pid, bare.process.pid, product.process.pid]
        report = measure_rounds(cases, pids, how).report()
        sql = seeded.taken_up.sql
        report["bytes_per_user"] = {
            "sql": round(sum(sql.values()) / users),
            "sql_tables": {name: round(size / users) for name, size in sorted(sql.items()) if size > users},
            "redis": round(seeded.taken_up.redis / users),
        }
        report["worker_rss_mib"] = round(product.worker_rss_bytes() / 2**20, 1)
    return report


def _cases(seeded: Seeded, bare: Web, product: Web, count: int) -> list[Case]:
    least = max(1, count // 4)
    people = seeded.anywhere(count)
    asked: dict[str, Asking] = {TOKEN: Asking("/api/noop/token", people, lambda _, viewer: {})}

    def add(name: str, path: str, viewers: list[Viewer], own: dict[str, str]) -> None:
        full = with_full_page(product.port, path, viewers, least, **own)
        asked[name] = Asking(path, list(full), lambda _, viewer: own)

    add("hot list", HOT, people, {})
    add(f"hot list, page {DEEP_PAGE}", HOT, people, {"page": str(DEEP_PAGE)})
    before = with_full_page(product.port, HOT, people, least, page=str(DEEP_PAGE - 1))
    followed = {viewer: data["next"] for viewer, data in before.items() if data["has_next"]}
    asked[f"hot list, page {DEEP_PAGE}, cursor"] = Asking(
        HOT, list(followed), lambda _, viewer: {"cursor": followed[viewer]}
    )
    add("nearby, dense city", NEARBY, seeded.in_dense_city(count), {})
    add("nearby, countryside", NEARBY, seeded.in_countryside(count), {})
    for name, filters in SEARCHES.items():
        asked[name] = Asking(SEARCH, people, lambda _, viewer, filters=filters: filters)  # type: ignore[misc]
    asked["search, part of a nickname"] = Asking(SEARCH, people, _nickname)
    return [
        Case(BARE, bare, lambda count: [load.http_get("/hello")] * count),
        *(Case(name, product, asking, per_second=_PER_SECOND) for name, asking in asked.items()),
    ]


def _nickname(number: int, viewer: Viewer) -> dict[str, str]:
    """Two characters of many a name."""
    given = GIVEN[1 + number % 2]
    return {"nickname": SURNAMES[number % len(SURNAMES)] + given[number % len(given)]}


def _as_text(users: int, report: dict[str, Any], how: How) -> str:
    size = report["bytes_per_user"]
    return "\n".join(
        [
            f"{users:,} people: {conditions(report, how)}",
            *table(report),
            f"bytes per user: SQL {size['sql']:,}, Redis {size['redis']:,}; "
            f"resident memory of the worker: {report['worker_rss_mib']} MiB",
            "",
        ]
    )


def _growth(reports: dict[int, dict[str, Any]]) -> str:
    """Ratio to bare Flask and CPU time by number of people."""
    head = "".join(f"{users:>20,}" for users in reports)
    lines = [f"{'ratio, CPU µs':28}{head}"]
    for name in next(iter(reports.values()))["cases"]:
        cells = (report["cases"][name] for report in reports.values())
        lines.append(f"{name:28}" + "".join(f"{cell['ratio']:>11.0%}{cell['cpu_us']:>9,}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
