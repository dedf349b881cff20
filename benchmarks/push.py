"""`python -m benchmarks.push`: how fast push delivers, and what a message and a connection cost.

Messages are published as the API publishes them. In the same process and at the same time a bare subscriber of Redis
waits for the same channels: what push adds is the ratio of the two, taken within a run; medians of the runs are told.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from redis import asyncio as redis_asyncio

from benchmarks.measuring import tell
from benchmarks.servers import redis
from datingtoday.app import create_app
from datingtoday.infra import migrations
from datingtoday.infra.realtime import PushEvent, channel_of
from tests.plugins.api import Api, RecordingSms, User, settings_of
from tests.profiles.factories import make_user
from tests.push.push_process import PushProcess
from tests.push.raw import AsyncDevice

RATE = 200
"""Messages a second."""
_PAYLOAD = json.dumps({"message": {"content": "x" * 300}, "pos": 0}).encode()[:-2]
_AT_ONCE = 32


@dataclass(frozen=True)
class _Place:
    """The part of a backend that `settings_of` and `PushProcess` use."""

    database_uri: str
    redis_uri: str

    @property
    def cache_uri(self) -> str:
        return self.redis_uri

    @property
    def queue_uri(self) -> str:
        return self.redis_uri


@dataclass
class _Numbers:
    """Results of one run."""

    connects_per_s: float
    connect_cpu_us: float
    mib_per_1000: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    bare_p50_ms: float
    bare_p99_ms: float

    @property
    def p99_ratio(self) -> float:
        return self.p99_ms / self.bare_p99_ms


@click.command()
@click.option("--connections", "sizes", type=click.IntRange(1, 10_000), multiple=True, default=(1, 100, 1000))
@click.option("--runs", type=click.IntRange(1, 50), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=10.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--any-noise", is_flag=True, help="Accepted like the other benchmarks: ratios within a run count."
)
def command(sizes: Sequence[int], runs: int, seconds: float, as_json: bool, any_noise: bool) -> None:
    """Measure push with so many connections."""
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with redis(folder) as (redis_uri, _):
            place: Any = _Place(f"sqlite:///{folder / 'bench.db'}", redis_uri)
            settings = settings_of(place, folder, LIMITS_ENABLED=0)
            migrations.upgrade(settings.database.uri)
            api = Api(create_app(settings), RecordingSms())
            users = [make_user(api) for _ in range(max(sizes))]
            tell(f"{len(users)} people")
            for size in sizes:
                found = []
                for run in range(runs):
                    found.append(_run(api, place, folder, users[:size], seconds))
                    tell(f"{size} connections, run {run + 1}: p99 x {found[-1].p99_ratio:.2f}")
                report[str(size)] = {
                    key: round(statistics.median(getattr(one, key) for one in found), 2)
                    for key in (*_Numbers.__dataclass_fields__, "p99_ratio")
                }
            api.parts.base.close()
    click.echo(json.dumps(report, indent=1) if as_json else _table(report))


def _run(api: Api, place: Any, folder: Path, users: Sequence[User], seconds: float) -> _Numbers:
    push = PushProcess(place, folder, LIMITS_ENABLED="0", PUSH_WAITING_PER_ADDRESS="100000")
    push.start().wait_until_ready()
    try:
        return asyncio.run(_measure(api, push, users, seconds))
    finally:
        push.close()


async def _measure(api: Api, push: PushProcess, users: Sequence[User], seconds: float) -> _Numbers:
    assert push.process is not None
    pid = push.process.pid
    # The first ones load what all others find: modules, and the threads and connections of admission.
    first = [
        AsyncDevice(push.port, partial(api.params, "GET", "/socket.io", {}, user=users[0]))
        for _ in range(_AT_ONCE)
    ]
    await asyncio.gather(*(device.connect() for device in first), return_exceptions=True)
    for device in first:
        await device.close()
    before_kib, before_s, started_at = _private_kib(pid), _cpu_s(pid), time.perf_counter()
    arrived: dict[int, float] = {}
    devices = [
        _TimedDevice(push.port, partial(api.params, "GET", "/socket.io", {}, user=user), arrived)
        for user in users
    ]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def connect(device: AsyncDevice) -> None:
        async with gate:
            await device.connect()

    await asyncio.gather(*map(connect, devices))
    took_s, connect_s = time.perf_counter() - started_at, _cpu_s(pid) - before_s
    await asyncio.sleep(1)
    mib = (_private_kib(pid) - before_kib) / 1024
    sent, bare_at, cpu_s = await _talk(api, users, seconds, arrived, pid)
    waits = sorted((arrived[number] - sent[number]) * 1000 for number in arrived)
    bare = sorted((bare_at[number] - sent[number]) * 1000 for number in bare_at)
    for device in devices:
        await device.close()
    if len(waits) != len(sent):
        raise SystemExit(f"{len(sent) - len(waits)} of {len(sent)} messages did not arrive")
    return _Numbers(
        connects_per_s=len(users) / took_s,
        connect_cpu_us=connect_s / len(users) * 1e6,
        mib_per_1000=mib / len(users) * 1000,
        cpu_us=cpu_s / len(waits) * 1e6,
        p50_ms=_at(waits, 0.5),
        p99_ms=_at(waits, 0.99),
        bare_p50_ms=_at(bare, 0.5),
        bare_p99_ms=_at(bare, 0.99),
    )


async def _talk(
    api: Api, users: Sequence[User], seconds: float, arrived: dict[int, float], pid: int
) -> tuple[dict[int, float], dict[int, float], float]:
    """Publish at an even rate; when each was sent, when the bare subscriber had it, and push's CPU time."""
    bare_at: dict[int, float] = {}
    client = redis_asyncio.Redis.from_url(api.parts.base.queue_redis.uri)
    heard = client.pubsub()
    await heard.subscribe(*(channel_of(user.user_id) for user in users))

    async def listen() -> None:
        async for message in heard.listen():
            if message["type"] == "message":
                bare_at[_number_of(message["data"].decode())] = time.perf_counter()

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.5)
    sent: dict[int, float] = {}
    cpu_s, start = _cpu_s(pid), time.perf_counter()
    for number in range(max(10, int(seconds * RATE))):
        await asyncio.sleep(max(0.0, start + number / RATE - time.perf_counter()))
        user = random.choice(users)
        event = PushEvent(user.user_id, "probe", _PAYLOAD + str(number).encode() + b"}")
        sent[number] = time.perf_counter()
        api.parts.base.realtime.publish([event])
    async with asyncio.timeout(10):
        while len(arrived) < len(sent) or len(bare_at) < len(sent):
            await asyncio.sleep(0.01)
    used_s = _cpu_s(pid) - cpu_s
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await heard.aclose()
    await client.aclose()
    return sent, bare_at, used_s


class _TimedDevice(AsyncDevice):
    """Notes when each message arrived."""

    def __init__(self, port: int, auth: Callable[[], dict[str, Any]], arrived: dict[int, float]) -> None:
        super().__init__(port, auth)
        self._arrived = arrived

    def receive(self, text: str) -> None:
        self._arrived[_number_of(text)] = time.perf_counter()


def _number_of(text: str) -> int:
    return int(text.rpartition(": ")[2].rstrip("}]"))


def _at(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


def _cpu_s(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _private_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def _table(report: dict[str, dict[str, float]]) -> str:
    head = "| connections | p50 / p99 ms | bare | p99 ratio | CPU a message | MiB / 1,000 | connects/s | CPU each |"
    lines = [head, "|" + " --- |" * 8]
    for size, one in report.items():
        lines.append(
            f"| {size} | {one['p50_ms']} / {one['p99_ms']} | {one['bare_p50_ms']} / {one['bare_p99_ms']} "
            f"| {one['p99_ratio']} | {one['cpu_us']:.0f} µs | {one['mib_per_1000']:.0f} | {one['connects_per_s']:.0f} "
            f"| {one['connect_cpu_us']:.0f} µs |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    command()
