"""Visibility: every cell of the contract's table, for one target and for many."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from datingtoday.profiles.models import UserBlock, UserInfo, UserStatus
from datingtoday.profiles.visibility import Action, Rule, Visibility, findable
from tests.plugins.api import Api, User
from tests.plugins.sql_product import PlanStep, plan_of
from tests.plugins.statements import statements
from tests.profiles.factories import ban, delete, make_block, make_follow, make_user, set_row

TABLE = Path(__file__).parent.parent / "data" / "visibility.md"

ROWS = {
    "find in hot, search, nearby, follow lists": Action.FIND,
    "show, follow": Action.SHOW,
    "write the first message": Action.WRITE_FIRST,
    "go on writing in a conversation": Action.WRITE_ON,
    "read the old conversation, see its contact": Action.READ,
    "be listed as visitor": Action.VISIT,
    "report": Action.REPORT,
}
CELLS = {
    "yes": Rule.YES,
    "yes (nearby: unless hidden)": Rule.YES,
    "no": Rule.NO,
    "501": Rule.NO,
    "1401": Rule.NO,
    "501; if known: yes": Rule.IF_KNOWN,
    "if known": Rule.IF_KNOWN,
    "if known, or seen before the block": Rule.IF_KNOWN_OR_SEEN,
    "yes, without profile link": Rule.WITHOUT_LINK,
    "yes, neutral card": Rule.NEUTRAL,
    "yes, unless `stealth` (VIP)": Rule.UNLESS_STEALTHY,
}

Arrange = Callable[[Api, User, User], None]


@dataclass(frozen=True)
class Way:
    """One way in which a target comes to stand in a column."""

    name: str
    column: int
    arrange: Arrange


def _authority(value: int, *, followed: bool, following: bool = False) -> Arrange:
    def arrange(api: Api, viewer: User, target: User) -> None:
        set_row(api, target, authority=value)
        if following:
            make_follow(api, viewer, target)
        if followed:
            make_follow(api, target, viewer)

    return arrange


def _banned(api: Api, viewer: User, target: User) -> None:
    ban(api, target)


def _banned_and_blocked(api: Api, viewer: User, target: User) -> None:
    ban(api, target, datetime.now(UTC) + timedelta(days=1))
    make_block(api, viewer, target)


def _ban_over(api: Api, viewer: User, target: User) -> None:
    ban(api, target, datetime.now(UTC) - timedelta(seconds=1))


def _deleted_banned_blocked(api: Api, viewer: User, target: User) -> None:
    delete(api, target)
    make_block(api, target, viewer)


def _blocked_and_hidden(api: Api, viewer: User, target: User) -> None:
    set_row(api, target, authority=0)
    make_block(api, target, viewer)


WAYS = [
    Way("everyone", 0, lambda api, viewer, target: None),
    Way("followed ones, and followed", 0, _authority(2, followed=True)),
    Way("a ban that is over", 0, _ban_over),
    Way("nobody", 1, _authority(0, followed=False)),
    Way("nobody, although followed", 1, _authority(0, followed=True)),
    Way("followed ones, but not followed", 1, _authority(2, followed=False)),
    Way(
        "followed ones, and following them",
        1,
        _authority(2, followed=False, following=True),
    ),
    Way("blocked by the viewer", 2, lambda api, viewer, target: make_block(api, viewer, target)),
    Way("blocked by the target", 2, lambda api, viewer, target: make_block(api, target, viewer)),
    Way("blocked and hidden", 2, _blocked_and_hidden),
    Way("banned", 3, _banned),
    Way("banned and blocked", 3, _banned_and_blocked),
    Way("deleted", 4, lambda api, viewer, target: delete(api, target)),
    Way("deleted and blocked", 4, _deleted_banned_blocked),
]


def _cells() -> list[tuple[Action, int, Rule]]:
    """The table as the contract has it."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    found = []
    for line in lines[2:]:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        assert len(cells) == 5
        found += [(ROWS[name], column, CELLS[cell]) for column, cell in enumerate(cells)]
    return found


CASES = [
    pytest.param(action, rule, way, id=f"{action.name}-{way.name}")
    for action, column, rule in _cells()
    for way in WAYS
    if way.column == column
]


def _lookup(*ids: int) -> Callable[[Session, int, Collection[int]], set[int]]:
    return lambda session, viewer_id, target_ids: set(target_ids) & set(ids)


class _Vip:
    def __init__(self, *user_ids: int) -> None:
        self._until = dict.fromkeys(user_ids, datetime.now(UTC) + timedelta(days=1))

    def deadlines(self, session: Session, user_ids: Collection[int]) -> dict[int, datetime]:
        return {user_id: self._until[user_id] for user_id in user_ids if user_id in self._until}


def test_the_table_is_complete() -> None:
    assert {action for action, _, _ in _cells()} == set(Action)
    assert len(_cells()) == 7 * 5


@pytest.mark.parametrize(("action", "rule", "way"), CASES)
def test_a_cell(api: Api, action: Action, rule: Rule, way: Way) -> None:
    viewer, target, control = make_user(api), make_user(api), make_user(api)
    way.arrange(api, viewer, target)
    now = datetime.now(UTC)
    parts = api.parts

    def may(visibility: Visibility) -> bool:
        with parts.base.database.transaction(write=False) as session:
            one = visibility.may(session, viewer.user_id, target.user_id, action, now)
            ids = [control.user_id, target.user_id, viewer.user_id, 2**31 - 1]
            many = visibility.allowed(session, viewer.user_id, ids, action, now)
        assert (target.user_id in many) == one
        assert viewer.user_id not in many
        assert control.user_id in many
        # Nobody has the last one, so it is like a deleted one.
        assert (2**31 - 1 in many) == (action is Action.READ)
        return one

    def visibility(*, known: bool = False, seen: bool = False, vip: bool = False) -> Visibility:
        made = Visibility(parts.base.cache, _Vip(viewer.user_id) if vip else _Vip())
        made.register_known(_lookup(target.user_id) if known else _lookup())
        made.register_seen(_lookup(target.user_id) if seen else _lookup())
        return made

    yes = rule in (Rule.YES, Rule.WITHOUT_LINK, Rule.NEUTRAL, Rule.UNLESS_STEALTHY)
    own_block = rule is Rule.IF_KNOWN_OR_SEEN and way.name == "blocked by the viewer"
    assert may(visibility()) == (yes or own_block)
    assert may(visibility(known=True)) == (yes or rule in (Rule.IF_KNOWN, Rule.IF_KNOWN_OR_SEEN))
    assert may(visibility(seen=True)) == (yes or rule is Rule.IF_KNOWN_OR_SEEN)
    with parts.base.database.transaction(write=False) as session:
        relation = visibility().relations(session, viewer.user_id, [target.user_id], now)[target.user_id]
    assert visibility().rule(action, relation) is rule


@pytest.mark.parametrize(
    ("chose_stealth", "is_vip", "listed"),
    [(False, False, True), (True, False, True), (False, True, True), (True, True, False)],
)
def test_only_stealthy_vips_leave_no_trace(api: Api, chose_stealth: bool, is_vip: bool, listed: bool) -> None:
    viewer, target = make_user(api, stealth=chose_stealth), make_user(api)
    vip = _Vip(viewer.user_id) if is_vip else _Vip()
    visibility = Visibility(api.parts.base.cache, vip)
    with api.parts.base.database.transaction(write=False) as session:
        now = datetime.now(UTC)
        assert visibility.may(session, viewer.user_id, target.user_id, Action.VISIT, now) == listed
        later = now + timedelta(days=2)
        assert visibility.may(session, viewer.user_id, target.user_id, Action.VISIT, later)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_the_condition_for_lists_says_the_same(api: Api, way: Way) -> None:
    viewer, target = make_user(api), make_user(api)
    way.arrange(api, viewer, target)
    with api.parts.base.database.transaction(write=False) as session:
        found = session.scalars(
            select(UserInfo.id).where(
                UserInfo.id == target.user_id, findable(viewer.user_id, datetime.now(UTC))
            )
        ).all()
    assert bool(found) == (way.column == 0)


def test_a_page_costs_one_statement_whatever_one_has_blocked(api: Api) -> None:
    viewer, target = make_user(api), make_user(api)
    now = datetime.now(UTC)
    others = range(1_000_000_000, 1_000_005_000)
    with api.parts.base.database.transaction() as session:
        rows = [{"user_id": viewer.user_id, "peer_id": other, "create_time": now} for other in others]
        session.bulk_insert_mappings(UserBlock.__mapper__, rows)
    with api.parts.base.database.transaction(write=False) as session:
        page = [target.user_id, *others[:20]]
        with statements(api.parts.base.database) as seen:
            may = api.parts.profiles.visibility.allowed(session, viewer.user_id, page, Action.FIND, now)
        plan = _plan(session, seen[-1].text, viewer.user_id, page)
    assert may == {target.user_id}
    assert [statement.text[:6] for statement in seen] == ["SELECT"]
    assert all("SCAN" not in step.text and step.access not in ("ALL", "index") for step in plan), plan


def test_a_user_gone_is_gone_before_and_after_the_deadline(api: Api) -> None:
    viewer, target = make_user(api), make_user(api)
    until = datetime.now(UTC) + timedelta(hours=1)
    ban(api, target, until)
    with api.parts.base.database.transaction(write=False) as session:
        visibility = api.parts.profiles.visibility
        for moment, yes in ((until - timedelta(seconds=1), False), (until + timedelta(seconds=1), True)):
            assert visibility.may(session, viewer.user_id, target.user_id, Action.SHOW, moment) == yes
        row = session.get_one(UserInfo, target.user_id)
        assert row.status == UserStatus.BANNED


def _plan(session: Session, statement: str, viewer_id: int, page: list[int]) -> list[PlanStep]:
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        count = statement.count("?")
        return plan_of(connection, statement, (*[viewer_id] * (count - len(page)), *sorted(page)))
    filled = statement
    for name in sorted({part.split(")s")[0] for part in statement.split("%(")[1:]}, key=len, reverse=True):
        value = viewer_id if name == "viewer" else sorted(page)[int(name.rsplit("_", 1)[1]) - 1]
        filled = filled.replace(f"%({name})s", str(value))
    # Of the few people of a test the database may prefer to look at all; of the ties it must not.
    return [step for step in plan_of(connection, filled) if step.table != "user_info"]
