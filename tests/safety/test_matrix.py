"""Every route × everybody: made from the application's own table of routes, so that none can be forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import inspect, text

from datingtoday.accounts.models import SmsCode, SmsDecoy
from datingtoday.infra.db import Base, Database
from datingtoday.protocol.call import Endpoint
from datingtoday.protocol.endpoint import declared_endpoint
from tests.plugins.api import Answer, Api, User
from tests.profiles.factories import ban, delete, make_photo, make_user
from tests.safety.matrix_rows import COLUMNS, FIND, OWN_TESTS, ROWS, Route

NOBODY = 2**31 - 1
BOOK_KEEPING = {"datingtoday.protocol.signing.models", "datingtoday.infra.models_memory"}
ROUTES = sorted(ROWS)
PEER_ROUTES = [route for route in ROUTES if ROWS[route].peer is not None]
FOREIGN = [(route, name) for route in ROUTES for name in ROWS[route].foreign]


def name_of(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


@pytest.fixture
def api(unlimited: Api) -> Api:
    """Without limits: codes and reports are asked for again and again."""
    database = unlimited.parts.base.database
    if database.is_sqlite and not inspect(database.engine).has_table("test_changes"):
        _count_changes(database)
    return unlimited


def routes_of(api: Api) -> dict[Route, Endpoint]:
    """Every route under /api with what it declares."""
    found = {}
    for rule in api.app.url_map.iter_rules():
        declared = declared_endpoint(api.app.view_functions[rule.endpoint])
        if rule.rule.startswith("/api/"):
            assert declared is not None, f"{rule.rule} does not declare what it requires"
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                found[method, rule.rule] = declared
    return found


def call(api: Api, route: Route, user: User | None, **own: Any) -> Answer:
    method, path = route
    return (api.get if method == "GET" else api.post)(path, user, **own)


def own_params(api: Api, route: Route, user: User, peer: User | None = None) -> dict[str, Any]:
    row = ROWS[route]
    params = row.own(api, user)
    if row.peer is not None:
        params["peerId"] = (peer or make_user(api)).user_id
    return params


def test_every_route_has_a_row(api: Api) -> None:
    missing = routes_of(api).keys() - ROWS.keys() - OWN_TESTS
    assert not missing, f"say in tests/safety/matrix_rows.py what {sorted(missing)} answer to whom"
    assert not ROWS.keys() - routes_of(api).keys()


def test_every_parameter_that_names_something_has_its_test(api: Api) -> None:
    for route, declared in routes_of(api).items():
        if route in OWN_TESTS or declared.params is None:
            continue
        row = ROWS[route]
        for field_name, parameter in declared.params.fields.items():
            name = parameter.data_key or field_name
            if name == "peerId":
                assert row.peer is not None, (route, name)
            elif name.endswith(("Id", "Ids")) or (name == "code" and declared.require_token):
                assert name in row.foreign or name in row.free, (route, name)


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_the_owner(api: Api, route: Route) -> None:
    user = make_user(api)
    assert call(api, route, user, **own_params(api, route, user)).code == ROWS[route].code


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_without_a_login(api: Api, route: Route) -> None:
    user, other = make_user(api), make_user(api)
    params = own_params(api, route, user)
    before = _rows(api)
    answers = {
        "nobody": call(api, route, None, **params),
        "another's id": call(api, route, User(other.user_id, user.token, ""), **params),
        "another's token": call(api, route, User(user.user_id, "0" * 32, ""), **params),
    }
    if routes_of(api)[route].require_token:
        assert {who: answer.code for who, answer in answers.items()} == dict.fromkeys(answers, 504)
        assert _rows(api) == before
    else:
        assert 504 not in {answer.code for answer in answers.values()}


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
@pytest.mark.parametrize(("end", "code"), [(ban, 1102), (delete, 1101)], ids=["banned", "deleted"])
def test_whose_account_has_ended(api: Api, route: Route, end: Any, code: int) -> None:
    user = make_user(api)
    params = own_params(api, route, user)
    end(api, user)
    before = _rows(api)
    answer = call(api, route, user, **params)
    if routes_of(api)[route].require_token:
        assert answer.code == code
        assert "data" not in answer.json or code == 1102
        assert _rows(api) == before
    else:
        assert answer.code not in (504, 1101, 1102)


@pytest.mark.parametrize("route", PEER_ROUTES, ids=name_of)
@pytest.mark.parametrize("column", ["owner", *COLUMNS, "nobody"])
def test_another_user(api: Api, route: Route, column: str) -> None:
    user, peer = make_user(api), make_user(api)
    expected = (ROWS[route].peer or {}).get(column, 501)
    if column in COLUMNS:
        COLUMNS[column](api, user, peer)
    params = own_params(api, route, user, peer)
    if column in ("owner", "nobody"):
        params["peerId"] = user.user_id if column == "owner" else NOBODY
    before = _rows(api)

    answer = call(api, route, user, **params)

    assert (answer.status, answer.code) == (200, expected)
    if expected:
        assert _rows(api) == before
    if expected == 501:
        params["peerId"] = NOBODY
        assert answer.body == call(api, route, user, **params).body


@pytest.mark.parametrize(("route", "name"), FOREIGN, ids=name_of)
def test_what_is_another_users(api: Api, route: Route, name: str) -> None:
    user, other = make_user(api), make_user(api)
    make, code = ROWS[route].foreign[name]
    params = own_params(api, route, user) | make(api, other)
    before = _rows(api)

    answer = call(api, route, user, **params)

    assert answer.code == code
    # A wrong code counts as a try; that is all.
    assert _without(_rows(api)) == _without(before)


@pytest.mark.parametrize("path", sorted(FIND))
@pytest.mark.parametrize("column", [*COLUMNS, "undone"])
def test_who_is_found(api: Api, path: str, column: str) -> None:
    user, peer = make_user(api), make_user(api)
    put, query = FIND[path]
    put(api, user, peer)
    if column in COLUMNS:
        COLUMNS[column](api, user, peer)
    page = api.get(path, user, pageCount=50, **query(api, user, peer)).data
    found = [card["user_id"] for card in page["list"]]
    assert (peer.user_id in found) == (column in ("other", "undone"))
    assert user.user_id not in found


@pytest.mark.parametrize("column", ["owner", *COLUMNS])
def test_photos_by_their_url(api: Api, column: str) -> None:
    """A URL that was handed out before; here without its file, so who may see it is told by the lookup alone."""
    user, peer = make_user(api), make_user(api)
    owner = user if column == "owner" else peer
    media_id = make_photo(api, owner)
    assert api.post("/api/user/update", owner, avatar=media_id).code == 0
    url = api.get("/api/user/show", user, peerId=owner.user_id).data["avatar"]
    if column in COLUMNS:
        COLUMNS[column](api, user, peer)
    with api.parts.base.database.transaction(write=False) as session:
        row = api.parts.media.service.read(session, [media_id])[media_id]
        may = api.parts.media.delivery.may_see(session, user.user_id, row, datetime.now(UTC))
    assert may == (column in ("owner", "other"))
    if not may:
        assert api.send("GET", url).status == 404
    assert api.send("GET", url[:-1] + ("A" if url[-1] != "A" else "B")).status == 404


@pytest.mark.parametrize("user", ["nobody", "banned", "deleted"])
def test_uploading_needs_a_login(api: Api, user: str) -> None:
    person = make_user(api)
    code = {"nobody": 504, "banned": 1102, "deleted": 1101}[user]
    if user == "banned":
        ban(api, person)
    if user == "deleted":
        delete(api, person)
    sender = person if user != "nobody" else User(person.user_id, "0" * 32, "")
    before = _rows(api)
    assert api.upload("/api/media/upload", sender, b"\xff\xd8\xff", kind="photo").code == code
    assert _rows(api) == before


def _rows(api: Api) -> dict[str, Any]:
    """A digest of each table in SQL, or the number of its changes, which SQLite counts by triggers."""
    database = api.parts.base.database
    with database.transaction(write=False) as session:
        if database.is_sqlite:
            return dict(session.execute(text("SELECT name, changes FROM test_changes")).all())
        names = ", ".join(f"`{table}`" for table in _tables())
        return dict(session.execute(text(f"CHECKSUM TABLE {names}")).all())


def _tables() -> list[str]:
    """All tables but for book-keeping of Redis and the row that costs time."""
    return [
        mapper.class_.__table__.name
        for mapper in Base.registry.mappers
        if mapper.class_.__module__ not in BOOK_KEEPING and mapper.class_ is not SmsDecoy
    ]


def _count_changes(database: Database) -> None:
    """Let SQLite count the changes of every table: digests of all rows were a seventh of all tests' time."""
    with database.transaction() as session:
        run = session.connection().exec_driver_sql
        run("CREATE TABLE test_changes (name TEXT PRIMARY KEY, changes INTEGER NOT NULL)")
        for table in _tables():
            run(f"INSERT INTO test_changes VALUES ('{table}', 0)")
            for change in ("INSERT", "UPDATE", "DELETE"):
                run(
                    f"CREATE TRIGGER test_{table}_{change} AFTER {change} ON {table} BEGIN"
                    f" UPDATE test_changes SET changes = changes + 1 WHERE name = '{table}'; END"
                )


def test_a_new_row_is_noticed(api: Api) -> None:
    before = _rows(api)
    assert _rows(api) == before
    make_user(api)
    changed = {name.rpartition(".")[2] for name, digest in _rows(api).items() if digest != before[name]}
    assert {"user_info", "user_session"} <= changed


def _without(rows: dict[str, Any]) -> dict[str, Any]:
    return {
        name: content for name, content in rows.items() if name.rpartition(".")[2] != SmsCode.__tablename__
    }
