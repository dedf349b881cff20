"""Every long command: tells its progress, ends on Ctrl-C with exit code 130 and one line, and runs again."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click import Context, Group

from datingtoday.accounts.models import SmsCode
from datingtoday.app import make_parts
from datingtoday.cli.main import cli, run
from datingtoday.cli.progress import Progress
from datingtoday.infra import migrations
from datingtoday.infra.config.settings import load_settings
from datingtoday.media.models import Media
from datingtoday.vip.models import UserOrder
from tests.cli.running_server import PROGRAM, clean_environ
from tests.plugins.polling import wait_until
from tests.plugins.processes import end

LONG = {
    "db upgrade": [],
    "hot rebuild": [],
    "media moderate ask": [],
    "media purge": [],
    "nearby rebuild": [],
    "pay reconcile": [],
    "purge": [],
    "seed": ["--users", "600"],
}
"""Commands whose work grows with the data, and their options here."""
SERVICES = {"serve", "worker", "push"}
QUICK = {
    "app create", "app disable", "app enable", "app hmac-only", "app list", "app rotate", "call",
    "config check", "config show", "db current", "db new", "db new-epoch", "db sql", "deploy render",
    "docs check", "docs write", "doctor", "jobs", "label add", "label list", "label rename",
    "media moderate approve", "media moderate list", "media moderate refuse", "moderation ban",
    "moderation dismiss", "moderation list", "moderation show", "moderation unban", "pay refund",
    "pay sandbox", "product add", "product change", "product list", "product retire", "sign explain",
}  # fmt: skip
"""Commands that touch a bounded number of rows. A new command goes here or into `LONG`."""


def all_commands() -> Iterator[str]:
    def walk(group: Group, names: list[str]) -> Iterator[str]:
        for name in group.list_commands(Context(group)):
            command = group.get_command(Context(group), name)
            if isinstance(command, Group):
                yield from walk(command, [*names, name])
            else:
                yield " ".join([*names, name])

    assert isinstance(cli, Group)
    return walk(cli, [])


def test_every_command_is_known_to_be_long_or_quick() -> None:
    found = set(all_commands())
    assert found - LONG.keys() - SERVICES - QUICK == set(), "add it to LONG or QUICK"
    assert (LONG.keys() | SERVICES | QUICK) - found == set()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with something to do for each of them."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a data folder."""
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """A shell that puts the tests into the background lets them ignore Ctrl-C; these are about it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def prepare(folder: Path) -> None:
    """People, expired codes, uploads that wait and unused ones, and an order."""
    load_settings(None, folder, {}, create_secrets=True)
    migrations.upgrade(load_settings(None, folder, {}).database.uri)
    assert run(["seed", "--users", "20", "--data", str(folder)]) == 0
    settings = load_settings(None, folder, {}).with_redis_uri("unix:///nonexistent")
    parts = make_parts(settings)
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=3)
    with parts.base.database.transaction() as session:
        for number in range(3):
            session.add(
                SmsCode(
                    phone=f"+861391234567{number}", purpose="login", code_hash="x" * 64, prefix="86139",
                    network="10.0.0.0/24", sent_at=long_ago, expires_at=long_ago,
                )
            )  # fmt: skip
        for number, verdict in enumerate(("pending", "approved")):
            session.add(
                Media(
                    id=f"{number:032x}", user_id=1, kind="image", mime="image/jpeg", storage_key=f"{number:032x}",
                    size_bytes=1, sha256="0" * 64, verdict=verdict, create_time=long_ago,
                    unused_since=None if verdict == "pending" else long_ago,
                )
            )  # fmt: skip
        session.add(
            UserOrder(
                user_id=1, product_id=1, product_name="VIP", vip_days=30, fee_fen=100, channel="sandbox",
                trade_no="T1", client_id="c1", order_time=now, expire_at=now,
            )
        )  # fmt: skip
    parts.base.close()


@pytest.mark.parametrize("name", sorted(LONG))
def test_ctrl_c_and_again(
    name: str,
    prepared: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name == "db upgrade":
        interrupt_at_first_line(monkeypatch)
    else:
        shutil.copytree(prepared, data)
        interrupt_at_first_report(monkeypatch)
    capsys.readouterr()
    words = [*name.split(), *LONG[name], "--data", str(data)]
    assert run(words) == 130
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("datingtoday: stopped")
    assert "again" in said[-1] or "datingtoday seed --users" in said[-1], said
    assert len([line for line in said if line.startswith("datingtoday: stopped")]) == 1
    monkeypatch.undo()
    monkeypatch.chdir(data.parent)
    # The orphaned upload has no object in the storage, which is said by exit code 1.
    assert run(words) in ((0, 1) if name in ("media purge", "media moderate ask") else (0,))
    if name == "db upgrade":
        assert migrations.is_current(load_settings(None, data, {}).database.uri)


def interrupt_at_first_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send SIGINT to this process, as a terminal does, with the first report of progress."""
    report = Progress.report

    def interrupt(
        self: Progress, done: int, en: str, zh: str | None = None, *, total: int | None = None
    ) -> None:
        report(self, done, en, zh, total=total)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "report", interrupt)


def interrupt_at_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with the first revision."""
    upgrade: Callable[..., None] = migrations.upgrade

    def interrupted(uri: str, progress: Callable[[str], None], **options: object) -> None:
        def tell(line: str) -> None:
            progress(line)
            os.kill(os.getpid(), signal.SIGINT)
            monkeypatch.undo()

        upgrade(uri, tell, **options)

    monkeypatch.setattr(migrations, "upgrade", interrupted)


@pytest.mark.parametrize("backend", ["real"], indirect=True)
def test_an_upgrade_stops_between_two_revisions_and_goes_on(backend: object, tmp_path: Path) -> None:
    """On MariaDB and MySQL what was applied stays."""
    uri = str(getattr(backend, "database_uri"))  # noqa: B009
    applied: list[str] = []
    with pytest.raises(migrations.MigrationStopped):
        migrations.upgrade(uri, applied.append, should_stop=lambda: len(applied) == 3)
    assert len(applied) == 3
    assert migrations.current(uri) == applied[-1].split()[0]
    migrations.upgrade(uri, applied.append, should_stop=lambda: False)
    assert migrations.is_current(uri) and len(set(applied)) == len(applied)
    assert migrations.differences(uri) == []


@pytest.mark.long
def test_a_terminal_sees_rate_and_time_left_and_ctrl_c_works_there(data: Path) -> None:
    """As a person sees it: a process on a terminal, whose Ctrl-C key is pressed."""
    load_settings(None, data, {}, create_secrets=True)
    migrations.upgrade(load_settings(None, data, {}).database.uri)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "seed", "--users", "500000", "--data", data],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,
        env=clean_environ(TERM="xterm", COLUMNS="120"),
        cwd=data.parent,
    )
    os.close(theirs)
    seen = b""

    def read() -> bytes:
        nonlocal seen
        while select.select([ours], [], [], 0)[0]:
            try:
                seen += os.read(ours, 4096)
            except OSError:
                break
        return seen

    try:
        wait_until(lambda: b"/s" in read() and b" / 500000" in seen, "the rate", deadline_s=60)
        os.write(ours, b"\x03")
        wait_until(lambda: read() is not None and process.poll() is not None, "the end", deadline_s=30)
        read()
    finally:
        end(process)
        os.close(ours)
    assert process.returncode == 130, seen[-500:]
    last = seen.decode(errors="replace").strip().splitlines()[-1]
    assert "datingtoday: stopped with" in last and "datingtoday seed --users" in last


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
