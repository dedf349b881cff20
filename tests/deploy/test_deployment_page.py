"""Every command of docs/deployment.md, in its order, as it stands there, on a fresh Debian.

Not as it stands: the values of step 1, which are the reader's own (here a repository on this machine); `certbot`,
whose certificates come from outside (tests/deploy/certbot.sh). systemd's commands are not run: nothing has booted it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import DOMAIN
from tests.deploy.fresh_debian import FreshDebian
from tests.plugins.polling import wait_until

ROOT = Path(__file__).parents[2]
PAGES = ("deployment.md", "deployment.zh-CN.md")
STATE = "/root/.page-variables"
VALUES = {"DOMAIN": DOMAIN, "EMAIL": "ops@example.com", "REPOSITORY": "/lent/datingtoday.git"}
# The first is said on the page; the clock is that of the machine that runs the tests.
ALLOWED_WARNINGS = {"settings.sms_allow_console", "clock.synchronized"}
PHONE = "13800138000"
_NEEDS_NETWORK = re.compile(r"apt-get|git clone|/pip\"? install")


@dataclass(frozen=True)
class Block:
    """Commands below a heading."""

    heading: str
    script: str


def blocks(page: str) -> list[Block]:
    """The ``sh`` blocks of a page in their order."""
    found: list[Block] = []
    heading = ""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for match in re.finditer(r"^## ([^\n]*)$|^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if match[1] is not None:
            heading = match[1]
        else:
            found.append(Block(heading, match[2]))
    return found


def test_both_languages_have_the_same_commands() -> None:
    english, chinese = ([block.script for block in blocks(page)] for page in PAGES)
    assert english == chinese


@pytest.mark.parametrize("page", PAGES)
def test_commands_outside_of_the_order_are_systemds(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (\S+)", text, re.MULTILINE)
    assert indented == ["install", "systemctl", "systemctl"]


@pytest.mark.needs("dash")
def test_every_block_is_a_script() -> None:
    for block in blocks(PAGES[0]):
        done = subprocess.run(["bash", "-n"], input=block.script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), block


@pytest.mark.parametrize("page", PAGES)
def test_the_first_block_holds_the_readers_values(page: str) -> None:
    assert re.findall(r"^([A-Z]+)=", blocks(page)[0].script, re.MULTILINE) == list(VALUES)


@pytest.mark.needs("mariadb")
def test_every_rendered_file_has_its_place_on_the_page() -> None:
    from datingtoday.cli.deploying.files import TEMPLATES

    text = (ROOT / "docs" / PAGES[0]).read_text()
    for path in TEMPLATES:
        assert path in text or path.startswith("systemd/"), path


# -- the machine


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshDebian]:
    made = FreshDebian(tmp_path_factory.mktemp("machine"))
    try:
        made.start()
        made.write("/etc/hosts", f"127.0.0.1 localhost {DOMAIN}\n")
        made.write("/usr/local/bin/certbot", Path(__file__).with_name("certbot.sh").read_text(), 0o755)
        _repository(made.root / "lent" / "datingtoday.git")
        yield made
    finally:
        made.close()


def _repository(folder: Path) -> None:
    """A repository of the files as they are now."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    for words in (
        ["init", "--quiet"],
        ["add", "--all", "--force"],
        [*identity, "commit", "--quiet", "-m", "now"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)


class Reader:
    """Types what the page says, in one shell as far as variables are concerned."""

    def __init__(self, machine: FreshDebian, page: str) -> None:
        self._machine = machine
        self._blocks = blocks(page)
        text = "".join(block.script for block in self._blocks)
        self._variables = sorted(set(re.findall(r"(?<![\w$])([A-Z][A-Z_]+)=", text)))

    def read(self, after: dict[str, Callable[[], None]]) -> None:
        """Run all blocks; `after`: what to check once those below a heading have run."""
        done: list[str] = []
        for number, block in enumerate(self._blocks):
            self.type(block.script)
            following = self._blocks[number + 1 :][:1]
            if not following or following[0].heading != block.heading:
                done.append(block.heading)
                after.pop(block.heading, lambda: None)()
        assert not after, f"headings that the page does not have: {list(after)}; it has {done}"

    def type(self, script: str) -> str:
        for name, value in VALUES.items():
            script = re.sub(rf"^{name}=.*$", f"{name}={value}", script, flags=re.MULTILINE)
        script = script.rstrip("\n")
        keep = f"{{ declare -p {' '.join(self._variables)} 2>/dev/null || true; }} >{STATE}"
        whole = f"if [ -f {STATE} ]; then . {STATE}; fi\n{script}\n{keep}\n"
        return self._machine.run(whole, network=_NEEDS_NETWORK.search(script) is not None)

    def value(self, name: str) -> str:
        return self.type(f'printf %s "${name}"')


class Operation:
    """Checks of the machine after the steps of the page."""

    def __init__(self, machine: FreshDebian) -> None:
        self.reader = Reader(machine, PAGES[0])
        self._machine = machine
        self._epoch = 0
        self._revision = ""

    def someone_logs_in(self) -> None:
        doctor = f"runuser -u datingtoday -- datingtoday doctor --json --url https://{DOMAIN}"
        findings = json.loads(self.reader.type(doctor))["findings"]
        wrong = {found["check"]: found for found in findings if found["state"] != "ok"}
        assert wrong.keys() <= ALLOWED_WARNINGS, wrong
        self._call("POST /api/auth/sendsms", f"phone={PHONE}")
        log = self._machine.read("/var/log/datingtoday/api.log")
        [code] = re.findall(rf"SMS to \+86{PHONE}: login code (\d+)", log)
        self._call("GET /api/user/show", f"--as {PHONE} --code {code}")

    def is_upgraded(self) -> None:
        release, previous = self.reader.value("RELEASE"), self.reader.value("PREVIOUS")
        assert release != previous
        self._wait_for_workers_of(release, not_of=previous)
        self._nickname()
        # As if the release had brought a migration.
        [self._revision] = self._sql("SELECT version_num FROM alembic_version")
        self._sql("UPDATE alembic_version SET version_num = '9999'")

    def is_rolled_back(self) -> None:
        self._wait_for_workers_of(self.reader.value("PREVIOUS"), not_of=self.reader.value("RELEASE"))
        self._nickname()
        self._sql(f"UPDATE alembic_version SET version_num = '{self._revision}'")

    def is_backed_up(self) -> None:
        self._call("POST /api/user/update", f"nickname=later --as {PHONE}")
        assert self._nickname() == "later"
        self._epoch = self._chat_epoch()

    def is_restored(self) -> None:
        # For five seconds after Redis began anew, requests that were signed before it are refused.
        show = f"datingtoday call --url https://{DOMAIN} GET /api/user/show --as {PHONE} || true"
        wait_until(
            lambda: json.loads(self.reader.type(show))["code"] == 0, "an answer", deadline_s=60, every_s=1
        )
        assert self._nickname() != "later"
        assert self._chat_epoch() > self._epoch, "chat clients begin again"

    def logs_are_rotated(self) -> None:
        assert (self._machine.root / "var/log/datingtoday/api.log.1").exists()

        def is_told() -> bool:
            self._nickname()
            return "/api/user/show" in self._machine.read("/var/log/datingtoday/api.log")

        # supervisord opens the new file a moment after the command has ended.
        wait_until(is_told, "lines in the new file", deadline_s=60, every_s=1)
        assert self._machine.read("/var/log/nginx/datingtoday.error.log") == ""

    def _call(self, request: str, words: str) -> Any:
        answer = json.loads(self.reader.type(f"datingtoday call --url https://{DOMAIN} {request} {words}"))
        assert answer["code"] == 0, answer
        return answer.get("data")

    def _nickname(self) -> str:
        return str(self._call("GET /api/user/show", f"--as {PHONE}")["nickname"])

    def _chat_epoch(self) -> int:
        return int(self._call("GET /api/message/sync", f"since=0 --as {PHONE}")["epoch"])

    def _sql(self, statement: str) -> list[str]:
        return self.reader.type(f'mariadb -N -e "{statement}" datingtoday').split()

    def _wait_for_workers_of(self, release: str, *, not_of: str) -> None:
        """Until the memory of all API workers shows this release only."""

        def are_there() -> bool:
            pid = self.reader.type("supervisorctl pid datingtoday-api").strip()
            children = self.reader.type(f"cat /proc/{pid}/task/{pid}/children").split()
            maps = [self.reader.type(f"cat /proc/{child}/maps || true") for child in children]
            return bool(maps) and all(release in text and not_of not in text for text in maps)

        wait_until(are_there, f"workers of {release}", deadline_s=180, every_s=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.needs("mmdebstrap", "openssl")
def test_the_page_leads_from_a_fresh_debian_to_a_service_in_operation(machine: FreshDebian) -> None:
    operation = Operation(machine)
    operation.reader.read(
        {
            "10. Check": operation.someone_logs_in,
            "Upgrade": operation.is_upgraded,
            "Rollback": operation.is_rolled_back,
            "Back up": operation.is_backed_up,
            "Restore": operation.is_restored,
            "Logs": operation.logs_are_rotated,
        }
    )
