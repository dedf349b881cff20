"""`make chaos`: the promises of chat under every fault, over and over, for as long as wished."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import click

from tests.chat.lab import FAULTS, Lab, pause
from tests.chat.storm import Storm
from tests.plugins.processes import RunFolder
from tests.plugins.redis_server import RedisServer
from tests.plugins.sql_server import SqlServer
from tests.plugins.tools import require_servers
from tests.profiles.factories import make_user


@click.command()
@click.option("--seconds", default=600, show_default=True, help="How long faults go on.")
@click.option("--people", default=8, show_default=True, help="Writers, each with a reader.")
@click.option("--workers", default=4, show_default=True, help="API workers.")
@click.option(
    "--pushes",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Push processes; every writer listens to one.",
)
@click.option("--seed", type=int, default=None, help="Of the order of the faults; drawn if it is left out.")
def main(seconds: int, people: int, workers: int, pushes: int, seed: int | None) -> None:
    """Exit codes: 0 every promise was kept, 1 not."""
    require_servers()
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    with ExitStack() as stack:
        run = RunFolder()
        stack.callback(run.remove)
        sql_server = SqlServer(run.path / "sql_server", template=run.path / "template").start()
        stack.callback(sql_server.close)
        redis = RedisServer("real", run.path / "redis").start()
        stack.callback(redis.close)
        # The lab's files stay short-lived, but its log is worth a look afterwards.
        data = Path(tempfile.mkdtemp(prefix="dt-chaos-"))
        lab = Lab(data, sql_server, redis, workers=workers, pushes=pushes)
        stack.callback(lab.close)
        users = [make_user(lab.api) for _ in range(people)]
        storm = Storm(users, lab.connect, seed=seed, listen=lab.listen)
        storm.begin()
        done = _make_trouble(lab, storm, random.Random(seed), seconds)
        click.echo(f"seed {seed}: {sum(done.values())} faults in {seconds} s: {dict(sorted(done.items()))}")
        found = storm.end()
        click.echo(
            f"{storm.acknowledged} messages acknowledged by {people} writers, {storm.entries} entries followed, "
            f"{storm.pushed} pushed"
        )
    for name, count in sorted(found.items()):
        click.echo(f"BROKEN: {name}: {count}", err=True)
    if found:
        sys.exit(1)
    click.echo(
        "acknowledged and lost 0, shown twice 0, never sent 0, gaps 0, out of order 0, pushed and not in the stream 0, "
        "contacts equal messages"
    )


def _make_trouble(lab: Lab, storm: Storm, chance: random.Random, seconds: float) -> Counter[str]:
    """Every kind of fault in turn, in another order each time; between two of them messages must flow again."""
    done: Counter[str] = Counter()
    end = time.monotonic() + seconds
    waiting: list[str] = []
    while time.monotonic() < end:
        if not waiting:
            waiting = chance.sample(sorted(FAULTS), len(FAULTS))
        name = waiting.pop()
        FAULTS[name](lab, chance)
        done[name] += 1
        before, pushed, since = storm.acknowledged, storm.pushed, time.monotonic()
        while storm.acknowledged < before + 20 or storm.pushed == pushed:
            storm.raise_failures()
            if time.monotonic() > since + 60:
                raise click.ClickException(f"no messages flow, or none are pushed, a minute after: {name}")
            pause(0.05)
        pause(chance.uniform(0, 2))
    return done


if __name__ == "__main__":
    main()
