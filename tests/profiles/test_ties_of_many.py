"""Follows and blocks of people who are tied to more people than a circle lists: each pair has an entry of its own."""

from __future__ import annotations

import itertools
import secrets
from datetime import UTC, datetime

import pytest

from datingtoday.infra.cache_reader import CacheReader
from datingtoday.profiles.cards import circles
from datingtoday.profiles.visibility import Ties, TiesEntries, nobody
from tests.plugins.api import Api, User
from tests.profiles.factories import make_block, make_follow, make_user

pytestmark = pytest.mark.parametrize("shared_backend", ["embedded"], indirect=True)

_ids = itertools.count(1_600_000_000 + secrets.randbelow(10**8), 3)
"""Ties are rows of their own: that nobody has these ids makes no difference to them."""


def ties_of(api: Api, viewer: User, peer: User) -> Ties:
    pair = (viewer.user_id, peer.user_id)
    cache = CacheReader(api.parts.base.cache, datetime.now(UTC))
    entry = cache.fetch_one(api.parts.profiles.visibility.ties, pair)
    return TiesEntries.load(entry or b"", *pair)


@pytest.mark.parametrize("is_older_first", [True, False])
def test_ties_of_a_pair_are_those_of_either_side(api: Api, is_older_first: bool) -> None:
    for ties in itertools.starmap(Ties, itertools.product([True, False], repeat=4)):
        first = next(_ids)
        older, younger, third = (User(first + n, "", "") for n in range(3))
        one, other = (older, younger) if is_older_first else (younger, older)
        make_follow(api, one, third)
        make_block(api, third, other)
        for is_tied, make, ends in (
            (ties.follows, make_follow, (one, other)),
            (ties.followed, make_follow, (other, one)),
            (ties.blocks, make_block, (one, other)),
            (ties.blocked, make_block, (other, one)),
        ):
            if is_tied:
                make(api, *ends)
        assert ties_of(api, one, other) == ties
        assert ties_of(api, other, one) == Ties(ties.followed, ties.follows, ties.blocked, ties.blocks)


def test_entries_of_several_pairs_are_made_together(api: Api) -> None:
    people = [make_user(api) for _ in range(3)]
    make_follow(api, people[2], people[0])
    make_block(api, people[0], people[1])
    one, two, three = (person.user_id for person in people)
    entries = api.parts.profiles.visibility.ties
    with api.parts.base.database.reading() as session:
        made = entries.make(session, [(one, three), (two, one), (two, three)], datetime.now(UTC))
    told = {pair: TiesEntries.load(entry.data, *pair) for pair, entry in made.items()}
    assert told == {
        (one, three): Ties(follows=False, followed=True, blocks=False, blocked=False),
        (two, one): Ties(follows=False, followed=False, blocks=False, blocked=True),
        (two, three): Ties(follows=False, followed=False, blocks=False, blocked=False),
    }
    assert {entry.life_s for entry in made.values()} == {60}


def test_a_profile_tells_of_them_and_a_block_hides_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "MAX_CIRCLE", 0)
    viewer, peer = make_user(api), make_user(api)
    make_follow(api, viewer, peer)

    def told(one: User, other: User) -> tuple[bool, bool]:
        shown = api.get("/api/user/show", one, peerId=other.user_id).data
        return shown["following"], shown["followed_by"]

    assert (told(viewer, peer), told(peer, viewer)) == ((True, False), (False, True))
    make_follow(api, peer, viewer)
    assert (told(viewer, peer), told(peer, viewer)) == ((True, True), (True, True))
    make_block(api, peer, viewer)
    for one, other in ((viewer, peer), (peer, viewer)):
        assert api.get("/api/user/show", one, peerId=other.user_id).code == 501


def test_who_blocks_many_finds_all_others(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "MAX_CIRCLE", 0)
    viewer, blocked, *others = (make_user(api) for _ in range(4))
    make_block(api, viewer, blocked)
    ids = [person.user_id for person in (viewer, blocked, *others, others[0])]
    for _ in range(2):
        with api.parts.base.database.reading() as session:
            cache = CacheReader(api.parts.base.cache, datetime.now(UTC))
            found = api.parts.profiles.finding.cards_of(session, viewer.user_id, ids, cache)
        assert found.cards.keys() == {person.user_id for person in others}


def test_only_one_feature_tells_who_is_known_and_one_who_was_seen(api: Api) -> None:
    visibility = api.parts.profiles.visibility
    for register, word in ((visibility.register_known, "known"), (visibility.register_seen, "seen")):
        with pytest.raises(RuntimeError, match=f"another feature tells who (is|was) {word} already"):
            register(nobody)
