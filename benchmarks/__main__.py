"""`make bench`: how fast the product is, as ratios to bare Flask under the same server; see `measuring.py`."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from benchmarks import load, media, payments, recording
from benchmarks.clients import signed_gets
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
from benchmarks.people import People
from benchmarks.servers import SQL_NAME, gunicorn, pin_this_process, product_environ, redis, sql_server
from datingtoday.infra.logs import configure_logs


@click.command()
@measuring_options(runs=15, seconds=0.5)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(how: How, as_json: bool) -> None:
    """Measure this machine. Exit codes: 0 measured, 1 not measurable (too much else goes on), 2 usage."""
    # Only the result goes to standard output.
    configure_logs("warning")
    pin_this_process()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dt-bench-")))
        tell(f"starting {SQL_NAME}, Redis and three gunicorns")
        cases, pids = _prepare(stack, folder, how)
        report = measure_rounds(cases, pids, how).report()
        report["worker_rss_mib"] = {
            name: round(case.web.worker_rss_bytes() / 2**20, 1)
            for name, case in (("bare Flask", cases[0]), ("product", cases[1]))
        }
    report["upload"] = media.run()
    report["recording"] = recording.run()
    report["notifications"] = payments.run()
    click.echo(json.dumps(report, indent=2) if as_json else _as_text(report, how))


def _prepare(stack: ExitStack, folder: Path, how: How) -> tuple[list[Case], list[int]]:
    database_uri, sql_pid = stack.enter_context(sql_server(folder))
    redis_uri, redis_pid = stack.enter_context(redis(folder))
    environ = product_environ(folder, database_uri=database_uri, redis_uri=redis_uri)
    tell("filling the database")
    people = People(environ)
    user = people.user
    options: dict[str, Any] = {
        "environ": environ,
        "worker_class": how.worker_class,
        "threads": how.threads,
    }
    bare = stack.enter_context(gunicorn("hello", folder, **options))
    product = stack.enter_context(gunicorn("product", folder, **options))
    silent = stack.enter_context(gunicorn("product_without_recording", folder, **options))
    cases = [
        Case(BARE, bare, lambda count: [load.http_get("/hello")] * count),
        Case("signed no-op", product, lambda count: signed_gets("/api/noop/signed", {}, count)),
        Case(TOKEN, product, lambda count: signed_gets("/api/noop/token", user, count)),
        Case("own profile", product, lambda count: signed_gets("/api/user/show", user, count)),
        Case("show of a peer", product, people.peers_cached),
        Case("show of a peer without recording", silent, people.peers_cached),
        Case("first show of a peer", product, people.peers_first, cold=True),
        Case("own profile, cold", product, people.selves_cold, cold=True),
        Case("show of a peer, cold", product, people.peers_cold, cold=True),
    ]
    return cases, [sql_pid, redis_pid, bare.process.pid, product.process.pid, silent.process.pid]


def _as_text(report: dict[str, Any], how: How) -> str:
    memory = ", ".join(f"{name} {size} MiB" for name, size in report["worker_rss_mib"].items())
    return "\n".join(
        [
            conditions(report, how),
            *table(report),
            f"resident memory of a worker: {memory}",
            report["upload"],
            *report["recording"],
            report["notifications"],
        ]
    )


if __name__ == "__main__":
    main()
