"""`make bench`: how fast the product is, as ratios to bare Flask under the same server, in one run.

Every round measures all cases one after another; the ratio of a case is taken within its round, and the median of the
rounds is told. A measurement during which other processes used more than 8 % of the CPU is repeated.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import load, media
from benchmarks.clients import APPKEY, APPSECRET, signed_gets
from benchmarks.people import People
from benchmarks.quiet import OthersCpu
from benchmarks.servers import Web, gunicorn, mariadb, pin_this_process, redis

OTHERS_MAX = 0.08
"""Share of the CPU that others may use during a measurement that counts."""
COLD_PER_SECOND = 1500
"""Requests made for a cold case; more than any machine answers."""
TOKEN = "signed + token no-op"
SECRET_KEY = "b0" * 32


@dataclass(frozen=True)
class Measured:
    """One measurement of a case."""

    load: load.Load
    cpu_us: float
    """CPU time of the worker per request: it hardly depends on what else the machine does."""

    @property
    def per_second(self) -> float:
        return self.load.per_second


@dataclass(frozen=True)
class Case:
    """Something that is measured."""

    name: str
    web: Web
    requests: Callable[[int], list[bytes]]
    cold: bool = False
    """Each request is for something that was never asked for, so nothing is warmed up and few are made."""


@click.command()
@click.option("--runs", default=7, show_default=True, help="Rounds that count.")
@click.option("--seconds", default=2.0, show_default=True, help="Length of one measurement.")
@click.option("--connections", default=8, show_default=True, help="Requests under way at once.")
@click.option(
    "--worker-class",
    default="gthread",
    show_default=True,
    help="gunicorn's worker class: gthread, sync, gevent.",
)
@click.option("--threads", default=8, show_default=True, help="Threads of a gthread worker.")
@click.option(
    "--attempts", default=5, show_default=True, help="How often a disturbed measurement is repeated."
)
@click.option(
    "--any-noise", is_flag=True, help="Count disturbed measurements as well; for trying things out."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(
    runs: int,
    seconds: float,
    connections: int,
    worker_class: str,
    threads: int,
    attempts: int,
    any_noise: bool,
    as_json: bool,
) -> None:
    """Measure this machine. Exit codes: 0 measured, 1 not measurable (too much else goes on), 2 usage."""
    pin_this_process()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dt-bench-")))
        _tell("starting MariaDB, Redis and two gunicorns")
        cases, pids = _prepare(stack, folder, worker_class, threads)
        rounds: list[dict[str, Measured]] = []
        noise: list[float] = []
        for number in range(1, runs + 1):
            found: dict[str, Measured] = {}
            for case in cases:
                for _ in range(attempts):
                    measured, others = _measure(case, pids, connections, seconds)
                    if any_noise or others <= OTHERS_MAX:
                        found[case.name] = measured
                        noise.append(others)
                        break
                    _tell(f"round {number}/{runs}, {case.name}: others used {others:.0%} of the CPU, again")
                else:
                    click.echo("not measurable: other processes use this machine; try again when it is quiet")
                    sys.exit(1)
            rounds.append(found)
            _tell(
                f"round {number}/{runs}: "
                + ", ".join(f"{name} {run.per_second:,.0f}/s" for name, run in found.items())
            )
        report = _report(rounds, noise, cases, worker_class)
    report["upload"] = media.run()
    click.echo(json.dumps(report, indent=2) if as_json else _as_text(report))


def _prepare(stack: ExitStack, folder: Path, worker_class: str, threads: int) -> tuple[list[Case], list[int]]:
    database_uri, mariadb_pid = stack.enter_context(mariadb(folder))
    redis_uri, redis_pid = stack.enter_context(redis(folder))
    environ = {
        "DATINGTODAY_DATABASE_URI": database_uri,
        "DATINGTODAY_REDIS_URI": redis_uri,
        "DATINGTODAY_APP_APPKEY": APPKEY,
        "DATINGTODAY_APP_APPSECRET": APPSECRET,
        "DATINGTODAY_SECURITY_SECRET_KEY": SECRET_KEY,
        "DATINGTODAY_LOG_ACCESS": "0",
        "DATINGTODAY_LIMITS_PER_USER_PER_MINUTE": "1000000",
        "DATINGTODAY_DATA": str(folder / "data"),
        "PYTHONHASHSEED": "0",
    }
    _tell("filling the database")
    people = People(environ)
    user = people.user
    options: dict[str, Any] = {"environ": environ, "worker_class": worker_class, "threads": threads}
    bare = stack.enter_context(gunicorn("hello", folder, **options))
    product = stack.enter_context(gunicorn("product", folder, **options))
    cases = [
        Case("bare Flask hello", bare, lambda count: [load.http_get("/hello")] * count),
        Case("signed no-op", product, lambda count: signed_gets("/api/noop/signed", {}, count)),
        Case(TOKEN, product, lambda count: signed_gets("/api/noop/token", user, count)),
        Case("show of oneself", product, lambda count: signed_gets("/api/user/show", user, count)),
        Case("show of a peer", product, people.peers_cached),
        Case("show of oneself, cold", product, people.selves_cold, cold=True),
        Case("show of a peer, cold", product, people.peers_cold, cold=True),
    ]
    return cases, [mariadb_pid, redis_pid, bare.process.pid, product.process.pid]


def _measure(case: Case, pids: list[int], connections: int, seconds: float) -> tuple[Measured, float]:
    """One measurement, and the share of the CPU that others used meanwhile."""
    if case.cold:
        requests = case.requests(int(COLD_PER_SECOND * seconds))
    else:
        requests = case.requests(int(3000 + 20_000 * seconds))
        # Once unmeasured: caches and connections are warm in what counts.
        load.run(case.web.port, requests[:3000], connections=1, seconds=0.1)
        del requests[:3000]
    others = OthersCpu(pids)
    cpu_s = case.web.worker_cpu_s()
    run = load.run(case.web.port, requests, connections=connections, seconds=seconds)
    measured = Measured(run, (case.web.worker_cpu_s() - cpu_s) / run.requests * 1e6)
    return measured, others.share()


def _report(
    rounds: list[dict[str, Measured]], noise: list[float], cases: list[Case], worker_class: str
) -> dict[str, Any]:
    base = cases[0].name
    return {
        "worker_class": worker_class,
        "rounds": len(rounds),
        "others_cpu_max": round(max(noise), 3),
        "worker_rss_mib": {
            name: round(web.worker_rss_bytes() / 2**20, 1)
            for name, web in (("bare Flask", cases[0].web), ("product", cases[1].web))
        },
        "cases": {
            case.name: {
                "ratio": round(
                    statistics.median(r[case.name].per_second / r[base].per_second for r in rounds), 3
                ),
                "to_token_noop": round(
                    statistics.median(r[case.name].per_second / r[TOKEN].per_second for r in rounds), 3
                ),
                "per_second": round(statistics.median(r[case.name].per_second for r in rounds)),
                "cpu_us": round(statistics.median(r[case.name].cpu_us for r in rounds)),
                "p50_ms": round(statistics.median(r[case.name].load.percentile_ms(0.5) for r in rounds), 2),
                "p99_ms": round(statistics.median(r[case.name].load.percentile_ms(0.99) for r in rounds), 2),
            }
            for case in cases
        },
    }


def _as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['worker_class']}, one worker on a core of its own, median of {report['rounds']} rounds "
        f"(others used at most {report['others_cpu_max']:.0%} of the CPU)",
        f"{'':24}{'ratio':>8}{'to no-op':>10}{'requests/s':>12}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}",
    ]
    for name, case in report["cases"].items():
        lines.append(
            f"{name:24}{case['ratio']:>8.0%}{case['to_token_noop']:>10.0%}{case['per_second']:>12,}{case['cpu_us']:>9}{case['p50_ms']:>9.2f}{case['p99_ms']:>9.2f}"
        )
    memory = ", ".join(f"{name} {size} MiB" for name, size in report["worker_rss_mib"].items())
    return "\n".join([*lines, f"resident memory of a worker: {memory}", report["upload"]])


def _tell(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    main()
