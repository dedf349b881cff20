"""Every house rule finds its bad samples, and lets the good ones be."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from tests.house import rules
from tests.house.__main__ import main
from tests.house.rules import RULES, Rule
from tests.house.source import Source, project_sources

CHAT = "src/datingtoday/chat"
ROUTE = "@bp.post('/x')\n@endpoint('x', '一')\ndef view(call, peer):\n    '''What it does.'''\n"

BAD: list[tuple[Rule, str, str]] = [
    (rules.init_files_are_empty, f"{CHAT}/__init__.py", "from x import y\n"),
    (rules.init_files_are_empty, "tests/__init__.py", "\n"),
    (rules.names_say_what, f"{CHAT}/utils.py", ""),
    (rules.names_say_what, "src/datingtoday/common/words.py", ""),
    (rules.names_say_what, "tests/helpers.py", ""),
    (rules.files_are_short, f"{CHAT}/service.py", "x = 1\n" * 401),
    (rules.files_are_short, "tests/chat/test_sync.py", "x = 1\n" * 401),
    (rules.few_commit, f"{CHAT}/service.py", "def f(session):\n    session.commit()\n"),
    (rules.few_commit, "src/datingtoday/protocol/replay.py", "self.database.connection().commit()\n"),
    (rules.few_commit, f"{CHAT}/jobs_of_friends.py", "session.commit()\n"),
    (rules.routes_hold_no_logic, f"{CHAT}/routes.py", ROUTE + "    x = 1\n" * 7),
    (rules.routes_hold_no_logic, f"{CHAT}/message_routes.py", ROUTE + "    if peer:\n        x = 1\n" * 4),
    (rules.routes_hold_no_logic, f"{CHAT}/routes.py", ROUTE + "    return call.session.execute(x)\n"),
    (rules.routes_hold_no_logic, f"{CHAT}/routes.py", ROUTE + "    session.add(x)\n"),
    (rules.routes_hold_no_logic, f"{CHAT}/routes.py", "from sqlalchemy import select\n"),
    (rules.services_speak_plain_python, f"{CHAT}/service.py", "from flask import request\n"),
    (rules.services_speak_plain_python, f"{CHAT}/sync.py", "def f():\n    import marshmallow.fields\n"),
    (rules.services_speak_plain_python, "src/datingtoday/media/delivery.py", "import werkzeug.http\n"),
    (rules.features_are_told_the_time, f"{CHAT}/service.py", "now = datetime.now(UTC)\n"),
    (rules.features_are_told_the_time, f"{CHAT}/routes.py", "now = datetime.datetime.utcnow()\n"),
    (rules.features_are_told_the_time, f"{CHAT}/models.py", "age = date.today()\n"),
    (rules.features_are_told_the_time, f"{CHAT}/sync.py", "now = time.time()\n"),
    (rules.features_are_told_the_time, f"{CHAT}/sync.py", "from time import time\n"),
    (rules.no_test_is_skipped, "tests/test_x.py", "pytest.skip('later')\n"),
    (rules.no_test_is_skipped, "tests/test_x.py", "@pytest.mark.skipif(True, reason='x')\ndef f(): ...\n"),
    (rules.no_test_is_skipped, "tests/test_x.py", "@pytest.mark.xfail\ndef f(): ...\n"),
    (rules.no_test_is_skipped, "tests/test_x.py", "p = pytest.param(1, marks=pytest.mark.xfail)\n"),
    (rules.no_test_is_skipped, "tests/conftest.py", "nx = pytest.importorskip('networkx')\n"),
    (rules.no_test_is_skipped, "tests/test_x.py", "from unittest import skip\n"),
    (rules.tests_do_not_sleep, "tests/test_x.py", "import time\ntime.sleep(1)\n"),
    (rules.tests_do_not_sleep, "tests/test_x.py", "from time import sleep\n"),
    (rules.tests_do_not_sleep, "tests/plugins/servers.py", "gevent.sleep(0.1)\n"),
    (rules.no_errors_are_swallowed, f"{CHAT}/service.py", "try:\n    f()\nexcept:\n    raise\n"),
    (rules.no_errors_are_swallowed, "tests/test_x.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    (rules.no_errors_are_swallowed, "x.py", "try:\n    f()\nexcept (ValueError, Exception):\n    ...\n"),
    (
        rules.no_errors_are_swallowed,
        "x.py",
        "def g():\n    try: f()\n    except BaseException: return None\n",
    ),
    (
        rules.no_errors_are_swallowed,
        "x.py",
        "for x in y:\n    try: f()\n    except Exception as e: continue\n",
    ),
    (rules.no_errors_are_swallowed, "x.py", "with contextlib.suppress(Exception):\n    f()\n"),
    (rules.functions_are_short, f"{CHAT}/service.py", "def f():\n" + "    x = 1\n" * 50),
    (rules.functions_are_short, f"{CHAT}/service.py", "async def f():\n" + "    x = 1\n" * 50),
    (rules.functions_are_short, f"{CHAT}/service.py", "def f(a, b, c, d, e, f, g, h, i): ...\n"),
    (rules.functions_are_short, f"{CHAT}/service.py", "def f(self, a, b, c, /, d, e, f, *, g, h, i): ...\n"),
    (rules.functions_are_short, "tests/test_x.py", "def f(a, b, c, d, e, f, g, *h, **i): ...\n"),
    (rules.functions_are_short, "x.py", "def __init__(self, a, *, b, c, d, e, f, g, h, i): ...\n"),
    (rules.docstrings_name_things, f"{CHAT}/sync.py", "'''What is told to clients.'''\n"),
    (rules.docstrings_name_things, f"{CHAT}/sync.py", "class A:\n    b: int\n    '''Whose it is.'''\n"),
    (rules.docstrings_name_things, f"{CHAT}/sync.py", "def f():\n    '''Whether it is.'''\n"),
    (rules.docstrings_name_things, "tests/test_x.py", "'''Whether it works.'''\n"),
    (rules.docstrings_name_things, "tests/test_x.py", "'''Of messages.'''\n"),
    (rules.docstrings_name_things, "tests/test_x.py", "def f():\n    '''What it does.'''\n"),
    (rules.words_are_of_the_field, f"{CHAT}/routes.py", "x = 'Change one\\'s profile'; y = 'oneself'\n"),
    (rules.words_are_of_the_field, "docs/chat.md", "A message to oneself.\n"),
    (rules.words_are_of_the_field, f"{CHAT}/sync.py", "'''Somebody wrote.'''\n"),
    (rules.words_are_of_the_field, "tests/chat/test_sync.py", "def test_media_of_ones_own(): ...\n"),
    (rules.limits_are_named_max, f"{CHAT}/sync.py", "PAGES_MOST = 5\n"),
    (rules.limits_are_named_max, f"{CHAT}/sync.py", "_MOST_IN_FORCE: int = 5\n"),
    (rules.defaults_are_left_out, f"{CHAT}/sync.py", "@dataclass(frozen=False, slots=True)\nclass A: ...\n"),
    (rules.defaults_are_left_out, f"{CHAT}/sync.py", "row = session.get_one(A, 1, with_for_update=False)\n"),
    (rules.tests_keep_out_of_services, "tests/chat/test_sync.py", "api.parts.chat.sync._positions\n"),
    (rules.tests_keep_out_of_services, "tests/chat/test_sync.py", "parts.base.events._listeners.clear()\n"),
]
GOOD: list[tuple[Rule, str, str]] = [
    (rules.init_files_are_empty, f"{CHAT}/__init__.py", ""),
    (rules.names_say_what, f"{CHAT}/visibility.py", ""),
    (rules.files_are_short, f"{CHAT}/service.py", "x = 1\n" * 400),
    (rules.files_are_short, "migrations/versions/0001_all.py", "x = 1\n" * 500),
    (rules.few_commit, "src/datingtoday/infra/db.py", "session.commit()\n"),
    (rules.few_commit, "src/datingtoday/protocol/endpoint.py", "commit(session)\nsession.commit()\n"),
    (rules.few_commit, "src/datingtoday/cli/app.py", "session.commit()\n"),
    (rules.few_commit, "src/datingtoday/safety/jobs.py", "session.commit()\n"),
    (rules.few_commit, "src/datingtoday/infra/jobs/queue.py", "session.commit()\n"),
    (rules.few_commit, "tests/chat/test_sync.py", "session.commit()\n"),
    (rules.routes_hold_no_logic, f"{CHAT}/routes.py", ROUTE + "    x = 1\n" * 6),
    (rules.routes_hold_no_logic, f"{CHAT}/routes.py", "def blueprint(chat):\n" + "    x = 1\n" * 20),
    (
        rules.routes_hold_no_logic,
        f"{CHAT}/service.py",
        "from sqlalchemy import select\nsession.execute(select(x))\n",
    ),
    (rules.services_speak_plain_python, f"{CHAT}/routes.py", "from flask import Blueprint\n"),
    (rules.services_speak_plain_python, f"{CHAT}/schemas.py", "from marshmallow import Schema\n"),
    (rules.services_speak_plain_python, "src/datingtoday/protocol/guard.py", "from flask import Flask\n"),
    (rules.features_are_told_the_time, f"{CHAT}/service.py", "end = time.monotonic() + timedelta(1)\n"),
    (rules.features_are_told_the_time, "src/datingtoday/protocol/endpoint.py", "now = datetime.now(UTC)\n"),
    (rules.no_test_is_skipped, "tests/test_x.py", "@pytest.mark.real\ndef f():\n    reader.skip(4)\n"),
    (rules.tests_do_not_sleep, "tests/plugins/polling.py", "time.sleep(0.01)\n"),
    (rules.tests_do_not_sleep, "src/datingtoday/worker.py", "time.sleep(1)\n"),
    (rules.no_errors_are_swallowed, "x.py", "try:\n    f()\nexcept KeyError:\n    pass\n"),
    (rules.no_errors_are_swallowed, "x.py", "try:\n    f()\nexcept Exception:\n    log.exception('f')\n"),
    (rules.no_errors_are_swallowed, "x.py", "with suppress(FileNotFoundError):\n    f()\n"),
    (rules.functions_are_short, f"{CHAT}/service.py", "def f():\n" + "    x = 1\n" * 49),
    (rules.functions_are_short, f"{CHAT}/service.py", "def f(self, a, b, c, d, e, f, g, h): ...\n"),
    (rules.functions_are_short, "migrations/versions/0001_all.py", "def f():\n" + "    x = 1\n" * 50),
    (
        rules.functions_are_short,
        f"{CHAT}/routes.py",
        "def message_routes(chat):\n    @bp.post('/x')\n    def view(call): ...\n" + "    x = 1\n" * 60,
    ),
    (rules.functions_are_short, "x.py", "@click.command()\ndef f(a, b, c, d, e, f, g, h, i): ...\n"),
    (rules.functions_are_short, "x.py", "def __init__(self, *, a, b, c, d, e, f, g, h, i): ...\n"),
    (
        rules.docstrings_name_things,
        f"{CHAT}/sync.py",
        "'''Messages since a position.'''\nx = 'What follows'\n",
    ),
    (rules.docstrings_name_things, "tests/test_x.py", "def test_f():\n    '''What it does.'''\n"),
    (rules.docstrings_name_things, f"{CHAT}/sync.py", "'''Official answers.'''\n"),
    (rules.words_are_of_the_field, f"{CHAT}/routes.py", "x = 'Update my profile: stones, everybody'\n"),
    (rules.words_are_of_the_field, "docs/chat.zh-CN.md", "oneself\n"),
    (rules.limits_are_named_max, f"{CHAT}/sync.py", "MAX_PAGES = 5\nmost = 4\nALMOST = 3\n"),
    (
        rules.defaults_are_left_out,
        f"{CHAT}/sync.py",
        "@dataclass(frozen=True)\nclass A:\n    slots: bool = False\n",
    ),
    (rules.defaults_are_left_out, f"{CHAT}/sync.py", "x.get(a, with_for_update=lock)\nf(frozen=False)\n"),
    (
        rules.tests_keep_out_of_services,
        "tests/chat/test_sync.py",
        "api.parts.chat.sync.positions\nself._parts\n",
    ),
    (rules.tests_keep_out_of_services, f"{CHAT}/parts.py", "parts.chat.sync._positions\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_a_bad_sample_is_found(rule: Rule, path: str, text: str) -> None:
    found = list(rule(Source(PurePosixPath(path), text)))
    assert found
    assert all(finding.path == path and finding.line >= 1 and finding.what for finding in found)


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_a_good_sample_is_let_be(rule: Rule, path: str, text: str) -> None:
    assert [str(finding) for finding in rule(Source(PurePosixPath(path), text))] == []


def test_every_rule_has_samples_of_both_kinds() -> None:
    assert {rule for rule, _, _ in BAD} == {rule for rule, _, _ in GOOD} == set(RULES)


def test_the_project_is_read_as_git_sees_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    for name in ("new.py", "ignored.py", "picture.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\0" if name.endswith("png") else b"x = 1\n")
    assert [str(source.path) for source in project_sources(tmp_path)] == [".gitignore", "new.py"]


def test_the_command_fails_and_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "good.py").write_text("x = 1\n")
    assert main(tmp_path) == 0
    (tmp_path / "utils.py").write_text("x = 1\n")
    assert main(tmp_path) == 1
    assert capsys.readouterr().out == (
        "utils.py:1: 'utils' says nothing; name it for what it does  [names_say_what]\n"
    )
