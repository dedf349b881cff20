"""Rounds of measurements: what is compared runs under the same server in one run, one case after another.

The CPU of a machine is not equally fast all the time, so every round measures all cases, the ratio of a case is taken
within its round, and the median of many short rounds is told. A measurement during which other processes used more than
8 % of the CPU is repeated.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import update_wrapper
from typing import Any

import click

from benchmarks import load
from benchmarks.quiet import OthersCpu
from benchmarks.servers import Web

MAX_OTHERS_SHARE = 0.08
"""Share of the CPU that others may use during a measurement that counts."""
BARE = "bare Flask hello"
TOKEN = "signed + token no-op"
COLD_PER_SECOND = 4000
"""Requests made for a cold case; more than any machine answers."""
WARM_PER_SECOND = 20_000
"""Requests made for other cases; likewise."""
_FIRST = 3000
_FIRST_S = 0.1


@dataclass(frozen=True)
class How:
    """The options of a benchmark."""

    runs: int
    seconds: float
    connections: int
    worker_class: str
    threads: int
    attempts: int
    any_noise: bool


@dataclass(frozen=True)
class Case:
    """Something that is measured."""

    name: str
    web: Web
    requests: Callable[[int], list[bytes]]
    cold: bool = False
    """Each request is for something that was never asked for, so nothing is warmed up and few are made."""
    per_second: int = WARM_PER_SECOND
    """Number of requests made a second; more than any machine answers."""


@dataclass(frozen=True)
class Measured:
    """One measurement of a case."""

    load: load.Load
    cpu_us: float
    """CPU time of the worker per request: it hardly depends on what else the machine does."""

    @property
    def per_second(self) -> float:
        return self.load.per_second


class NotMeasurableError(click.ClickException):
    """Other processes use the machine; the exit code is 1."""

    def __init__(self) -> None:
        super().__init__("not measurable: other processes use this machine; try again when it is quiet")

    def show(self, file: Any = None) -> None:
        """On stdout: it is the result."""
        click.echo(self.message)


@dataclass
class Rounds:
    """Measurements, by round and name of the case."""

    cases: Sequence[Case]
    found: list[dict[str, Measured]] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """Medians, ready for JSON. The ratio compares requests per second, the CPU ratio the workers' CPU time."""
        return {
            "rounds": len(self.found),
            "others_cpu_max": round(max(self.noise), 3),
            "cases": {case.name: self._case(case.name) for case in self.cases},
        }

    def _case(self, name: str) -> dict[str, float]:
        runs = [(found[name], found[BARE], found[TOKEN]) for found in self.found]

        def median(value: Callable[[Measured, Measured, Measured], float], digits: int | None) -> float:
            return round(statistics.median(value(*run) for run in runs), digits)

        return {
            "ratio": median(lambda run, bare, _: run.per_second / bare.per_second, 3),
            "cpu_ratio": median(lambda run, bare, _: bare.cpu_us / run.cpu_us, 3),
            "to_token_noop": median(lambda run, _, token: run.per_second / token.per_second, 3),
            "per_second": median(lambda run, *_: run.per_second, None),
            "cpu_us": median(lambda run, *_: run.cpu_us, None),
            "p50_ms": median(lambda run, *_: run.load.percentile_ms(0.5), 2),
            "p99_ms": median(lambda run, *_: run.load.percentile_ms(0.99), 2),
        }


def measure_rounds(cases: Sequence[Case], pids: Sequence[int], how: How) -> Rounds:
    """Measure all cases so many times; one of them is `BARE` and one `TOKEN`.

    :param pids: of the processes, beside this one, whose CPU time is not others'; with their children.
    :raises NotMeasurableError: others used the machine, however often a measurement was repeated.
    """
    rounds = Rounds(cases)
    for number in range(1, how.runs + 1):
        found: dict[str, Measured] = {}
        for case in cases:
            for _ in range(how.attempts):
                measured, others = _measure(case, pids, how)
                if how.any_noise or others <= MAX_OTHERS_SHARE:
                    found[case.name] = measured
                    rounds.noise.append(others)
                    break
                tell(f"round {number}/{how.runs}, {case.name}: others used {others:.0%} of the CPU, again")
            else:
                raise NotMeasurableError
        rounds.found.append(found)
        speeds = ", ".join(f"{name} {run.per_second:,.0f}/s" for name, run in found.items())
        tell(f"round {number}/{how.runs}: {speeds}")
    return rounds


def _measure(case: Case, pids: Sequence[int], how: How) -> tuple[Measured, float]:
    """One measurement, and the share of the CPU that others used meanwhile."""
    if case.cold:
        requests = case.requests(int(COLD_PER_SECOND * how.seconds))
    else:
        first = min(_FIRST, int(case.per_second * _FIRST_S * 1.5))
        requests = case.requests(int(first + case.per_second * how.seconds))
        # Once unmeasured: caches and connections are warm in what counts.
        load.run(case.web.port, requests[:first], connections=1, seconds=_FIRST_S)
        del requests[:first]
    others = OthersCpu(pids)
    cpu_s = case.web.worker_cpu_s()
    run = load.run(case.web.port, requests, connections=how.connections, seconds=how.seconds)
    measured = Measured(run, (case.web.worker_cpu_s() - cpu_s) / run.requests * 1e6)
    return measured, others.share()


def measuring_options(*, runs: int, seconds: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options that make a `How`, which the command gets as ``how``; with these defaults."""
    options = [
        click.option("--runs", default=runs, show_default=True, help="Rounds that count."),
        click.option("--seconds", default=seconds, show_default=True, help="Length of one measurement."),
        click.option("--connections", default=8, show_default=True, help="Requests under way at once."),
        click.option(
            "--worker-class",
            default="gthread",
            show_default=True,
            help="gunicorn's worker class: gthread, sync, gevent.",
        ),
        click.option("--threads", default=4, show_default=True, help="Threads of a gthread worker."),
        click.option(
            "--attempts", default=5, show_default=True, help="How often a disturbed measurement is repeated."
        ),
        click.option(
            "--any-noise", is_flag=True, help="Count disturbed measurements as well; for trying things out."
        ),
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_how(
            runs: int,
            seconds: float,
            connections: int,
            worker_class: str,
            threads: int,
            attempts: int,
            any_noise: bool,
            **others: Any,
        ) -> None:
            command(how=How(runs, seconds, connections, worker_class, threads, attempts, any_noise), **others)

        # With its name, its text and the options that it has already.
        decorated: Callable[..., None] = update_wrapper(with_how, command)
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def table(report: dict[str, Any]) -> list[str]:
    """The lines that tell a report's cases."""
    lines = [
        f"{'':28}{'ratio':>8}{'of CPU':>8}{'to no-op':>10}{'requests/s':>12}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}"
    ]
    for name, case in report["cases"].items():
        lines.append(
            f"{name:28}{case['ratio']:>8.0%}{case['cpu_ratio']:>8.0%}{case['to_token_noop']:>10.0%}"
            f"{case['per_second']:>12,}{case['cpu_us']:>9}{case['p50_ms']:>9.2f}{case['p99_ms']:>9.2f}"
        )
    return lines


def conditions(report: dict[str, Any], how: How) -> str:
    """One line about how a report was made."""
    return (
        f"{how.worker_class}, one worker on a core of its own, median of {report['rounds']} rounds of "
        f"{how.seconds:g} s (others used at most {report['others_cpu_max']:.0%} of the CPU)"
    )


def tell(line: str) -> None:
    """Progress, on stderr."""
    click.echo(line, err=True)
