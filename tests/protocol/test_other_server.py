"""A database that refuses, changes or dies is told as 503, and forgotten with its connections once it is well again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.api import Answer, Api, User, make_api
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.sql_product import TESTED
from tests.plugins.sql_server import SqlServer

SEARCH = "/api/user/search"
UPDATE = "/api/user/update"


class Operator:
    """Account that may do anything on the server, over its socket."""

    def __init__(self, server: SqlServer) -> None:
        self._server = server

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        with closing(self._server.as_administrator()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def connections(self, doing: str = "") -> list[int]:
        """Those of the application; only which run a statement with these words."""
        found = self.run("SELECT id, info FROM information_schema.processlist WHERE user = 'dt'")
        return [number for number, text in found if doing in (text or "")]

    def cut_off(self) -> None:
        """End every connection, as a server does that has become another."""
        for number in self.connections():
            self.run(f"KILL {number}")


@pytest.fixture
def server(private_sql_server: Callable[[], SqlServer]) -> SqlServer:
    return private_sql_server()


@pytest.fixture
def operator(server: SqlServer) -> Operator:
    return Operator(server)


@pytest.fixture
def api(backend: Backend, server: SqlServer, tmp_path: Path) -> Iterator[Api]:
    api = make_api(backend, tmp_path, DATABASE_URI=server.create_database("dt_x"), LIMITS_ENABLED=0)
    yield api
    api.parts.base.database.dispose()


USER = "'dt'@'127.0.0.1'"
REFUSALS: dict[str, tuple[list[str], list[str]]] = {
    # How the server comes to refuse, and how it is made well again.
    "1226 too many statements": (
        [f"ALTER USER {USER} WITH MAX_QUERIES_PER_HOUR 1"],
        [f"ALTER USER {USER} WITH MAX_QUERIES_PER_HOUR 0", "FLUSH USER_RESOURCES"],
    ),
    "1045 another password": (
        [f"ALTER USER {USER} IDENTIFIED BY 'another'"], [f"ALTER USER {USER} IDENTIFIED BY '{{password}}'"]
    ),
    "locked (4151, on MySQL 3118)": ([f"ALTER USER {USER} ACCOUNT LOCK"], [f"ALTER USER {USER} ACCOUNT UNLOCK"]),
    "1142 may do nothing": (
        [f"REVOKE ALL ON `dt\\_%`.* FROM {USER}"], [f"GRANT ALL ON `dt\\_%`.* TO {USER}"]
    ),
    "1290 read-only": (["SET GLOBAL read_only = 1"], ["SET GLOBAL read_only = 0"]),
    "1792 read-only connections": (
        [f"SET GLOBAL {TESTED.read_only_transactions} = 1"], [f"SET GLOBAL {TESTED.read_only_transactions} = 0"]
    ),
    **{
        f"{number} said by the server": (
            ["CREATE TRIGGER dt_x.refuse BEFORE UPDATE ON dt_x.user_info FOR EACH ROW "
             f"SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'refused'"],
            ["DROP TRIGGER dt_x.refuse"],
        )
        for number, state in ((1047, "08S01"), (1836, "HY000"), (1053, "08S01"), (3032, "HY000"), (1205, "HY000"))
    },
}  # fmt: skip


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_refusals_are_unavailable_and_over_when_they_are_over(
    api: Api, operator: Operator, server: SqlServer
) -> None:
    user = api.new_user()
    nickname = iter(f"名{number}" for number in range(100))

    def write() -> Answer:
        return api.post(UPDATE, user, nickname=next(nickname))

    assert write().code == 0
    for name, (refuse, permit) in REFUSALS.items():
        operator.run(*refuse)
        if not name.endswith("said by the server"):
            # What was agreed on when a connection was made is for that connection.
            operator.cut_off()
        answers = [write() for _ in range(3)]
        assert [(answer.status, answer.code) for answer in answers] == [(503, 503)] * 3, name
        operator.run(*(statement.format(password=server.password) for statement in permit))
        # No connection is left that still thinks otherwise.
        assert write().code == 0, name


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_what_is_killed_in_the_middle_is_unavailable(api: Api, operator: Operator, server: SqlServer) -> None:
    user = api.new_user()
    assert api.get(SEARCH, user, nickname="某").code == 0
    for way in ("KILL QUERY", "KILL", "stop", "kill -9"):
        found = _search_meanwhile(api, user, operator, way, server)
        assert (found.status, found.code) == (503, 503), way
        if not server.is_running:
            assert (api.get(SEARCH, user, nickname="某").status) == 503
            server.start()
        wait_until(lambda: api.get(SEARCH, user, nickname="某").code == 0, "the server to be back")


def _search_meanwhile(api: Api, user: User, operator: Operator, way: str, server: SqlServer) -> Answer:
    """Answer of a search that waits for a locked table while something happens to it."""
    answers: list[Answer] = []
    lock = server.as_administrator()
    with lock.cursor() as cursor:
        cursor.execute("LOCK TABLES dt_x.user_info WRITE, dt_x.search_gram WRITE, dt_x.search_name WRITE")
    thread = threading.Thread(target=lambda: answers.append(api.get(SEARCH, user, nickname="某")))
    thread.start()
    try:
        (number,) = wait_until(lambda: operator.connections("SELECT"), "the search")
        if way.startswith("KILL"):
            operator.run(f"{way} {number}")
        elif way == "stop":
            server.stop()
        else:
            server.kill()
        thread.join(30)
    finally:
        if server.is_running:
            lock.close()
        thread.join(30)
    (answer,) = answers
    return answer


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_connections_closed_for_idleness_are_replaced_unnoticed(api: Api, operator: Operator) -> None:
    operator.run("SET GLOBAL wait_timeout = 1")
    # It counts for connections that are made from now on.
    api.parts.base.database.dispose()
    user = api.new_user()
    wait_until(lambda: not operator.connections(), "the server to close them")
    assert api.post(UPDATE, user, nickname="还在").code == 0
