"""Bounds on the work of search and of rebuilding: few rows are read, whatever the number of users."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datingtoday.discovery.hot.ranking import Attention
from datingtoday.discovery.person_facts import next_people
from datingtoday.discovery.search import service as search
from datingtoday.discovery.search.statements import Leader, LeaderKind, rarest
from datingtoday.profiles.models import UserLabel
from tests.discovery.rankings import note
from tests.plugins.api import Api
from tests.plugins.statements import statements
from tests.profiles.factories import make_user

LABEL = 1


def test_the_rarest_filter_leads(own: Api) -> None:
    people = [make_user(own, education=3) for _ in range(4)]
    with own.parts.base.database.transaction() as session:
        session.add(UserLabel(user_id=people[0].user_id, label_id=LABEL))
    everybody = Leader(LeaderKind.EVERYBODY)
    educated, labelled = Leader(LeaderKind.EDUCATION, 3), Leader(LeaderKind.LABEL, LABEL)
    nobody = Leader(LeaderKind.EDUCATION, 5)
    with own.parts.base.database.transaction(write=False) as session:
        for leaders in (
            [everybody, educated, labelled],
            [labelled, educated, everybody],
            [educated, labelled],
        ):
            assert rarest(session, leaders) == labelled
        assert rarest(session, [educated, labelled, nobody]) == nobody
        assert rarest(session, [educated]) == educated


def test_counting_the_filters_stops_at_a_thousand_people_of_each(own: Api) -> None:
    with (
        own.parts.base.database.transaction(write=False) as session,
        statements(own.parts.base.database) as seen,
    ):
        rarest(session, [Leader(LeaderKind.EVERYBODY), Leader(LeaderKind.EDUCATION, 3)])
    assert len(seen) == 1
    assert seen[0].text.upper().count("LIMIT") == 2
    values = seen[0].values.values() if isinstance(seen[0].values, dict) else seen[0].values
    assert sorted(value for value in values if value == 1_000) == [1_000, 1_000]


def test_rebuilding_reads_nothing_but_its_group(own: Api) -> None:
    people = [make_user(own) for _ in range(6)]
    giver = make_user(own)
    for person in people:
        note(own, person, giver.user_id, Attention.FOLLOW, datetime.now(UTC))
    discovery = own.parts.discovery
    with own.parts.base.database.transaction() as session:
        group = next_people(session, 0, 2)
        ids = {person.user_id for person in group}
        assert ids == {person.user_id for person in people[:2]}
        with statements(own.parts.base.database) as seen:
            discovery.rebuild.reindex(session, group)
    reads = [each for each in seen if each.text.lstrip().upper().startswith("SELECT")]
    assert reads
    for each in reads:
        values = each.values.values() if isinstance(each.values, dict) else each.values
        assert "user_id IN (" in each.text, each.text
        assert ids <= set(values), each


def test_a_search_ends_with_its_leader(own: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was looked at in the first step is not looked for in a second."""
    user, _ = make_user(own), make_user(own, education=3)
    counts = []
    # Once before: cards and logins are remembered in what counts.
    for steps in ((2_000,), (2_000,), (2_000, 8_000)):
        monkeypatch.setattr(search, "LOOKED_AT", steps)
        with statements(own.parts.base.database) as seen:
            assert len(own.get("/api/user/search", user, education=3).data["list"]) == 1
        counts.append(len(seen))
    assert counts[1] == counts[2]
