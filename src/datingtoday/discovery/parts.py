"""Discovery: hot list, search and nearby."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint

from datingtoday.accounts.service import LoggedIn
from datingtoday.discovery.derived_rows import PeopleIndex
from datingtoday.discovery.hot import jobs as hot_jobs
from datingtoday.discovery.hot.attention import AttentionListener
from datingtoday.discovery.hot.editions import MIN_REFRESH_S, Editions
from datingtoday.discovery.hot.givers import GiverWeights
from datingtoday.discovery.hot.ranking import ForwardDecay
from datingtoday.discovery.hot.routes import hot_routes
from datingtoday.discovery.hot.scores import HotScores
from datingtoday.discovery.hot.service import HotList
from datingtoday.discovery.nearby import jobs
from datingtoday.discovery.nearby.daily_order import Orders
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.pages import NearbyList
from datingtoday.discovery.nearby.personal_data import PlaceData
from datingtoday.discovery.nearby.places import PlaceRules, Places
from datingtoday.discovery.nearby.routes import nearby_routes
from datingtoday.discovery.nearby.service import Nearby
from datingtoday.discovery.person_facts import on_person_written, registered_at
from datingtoday.discovery.personal_data import PeopleData
from datingtoday.discovery.rebuild import HotRebuild
from datingtoday.discovery.search.routes import search_routes
from datingtoday.discovery.search.service import Search
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.profiles.follows import Followed
from datingtoday.profiles.parts import ProfileParts
from datingtoday.profiles.service import FirstActiveToday, ProfileChanged, ProfileVisited
from datingtoday.protocol.parts import ProtocolParts


@dataclass(frozen=True, slots=True)
class DiscoveryParts:
    """Services of finding people."""

    search: Search
    attention: AttentionListener
    scores: HotScores
    editions: Editions
    hot: HotList
    rebuild: HotRebuild
    places: Places
    nearby: Nearby

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints of hot list, search and nearby."""
        return [search_routes(self.search), hot_routes(self.hot), nearby_routes(self.nearby)]


def make_discovery(base: Foundation, protocol: ProtocolParts, profiles: ProfileParts) -> DiscoveryParts:
    """Make the services of finding people; they listen to visits, follows, logins and changed profiles."""
    settings = base.settings.discovery
    decay = ForwardDecay(settings.hot_half_life_days)
    people_index = PeopleIndex(decay)
    on_person_written(base.database.engine, people_index.person_written)
    givers = GiverWeights(settings.hot_giver_days, registered_at)
    scores = HotScores(decay, givers, people_per_day=settings.hot_people_per_day)
    attention = AttentionListener(base.streams, scores)
    base.events.listen(ProfileVisited, attention.visited)
    base.events.listen(Followed, attention.followed)
    base.events.listen(FirstActiveToday, attention.active)
    editions = Editions(
        base.database,
        base.cache.memory,
        size=settings.hot_size,
        refresh_s=settings.hot_refresh_s,
    )
    _register_hot_jobs(base, editions, scores)
    places = Places(base.cache, Grid(settings.nearby_grid_m), _place_rules(base.settings))
    base.personal_data.register(PeopleData(people_index))
    base.personal_data.register(PlaceData(places))
    return DiscoveryParts(
        search=Search(profiles.cards, protocol.cursors),
        attention=attention,
        scores=scores,
        editions=editions,
        hot=HotList(
            editions, profiles.finding, profiles.cards, protocol.cursors, personal=settings.hot_personal
        ),
        rebuild=HotRebuild(base.database, people_index, editions),
        places=places,
        nearby=_make_nearby(base, protocol, profiles, places),
    )


def _register_hot_jobs(base: Foundation, editions: Editions, scores: HotScores) -> None:
    base.jobs.register(Job("hot_edition", MIN_REFRESH_S, editions.make, has_work=editions.is_due))
    base.jobs.register(
        Job(
            "hot_tidy",
            3600,
            lambda now: hot_jobs.tidy(base.database, scores, now, report_progress=base.jobs.checkpoint),
        )
    )


def _make_nearby(base: Foundation, protocol: ProtocolParts, profiles: ProfileParts, places: Places) -> Nearby:
    people = NearbyList(places, Orders(base.secret_key), profiles.finding, profiles.cards, protocol.cursors)
    nearby = Nearby(base.database, places, people)
    base.events.within(LoggedIn, nearby.logged_in)
    base.events.within(ProfileChanged, nearby.profile_changed)
    base.events.within(FirstActiveToday, nearby.active)
    base.jobs.register(
        Job(
            "nearby_moves",
            jobs.MOVES_EVERY_S,
            lambda now: jobs.apply_all_due_moves(
                base.database, places, now, report_progress=base.jobs.checkpoint
            ),
            has_work=lambda now: jobs.has_moves(base.database, now),
        )
    )
    return nearby


def _place_rules(settings: Settings) -> PlaceRules:
    discovery = settings.discovery
    return PlaceRules(
        edge_m=discovery.nearby_edge_m,
        move_delay_s=discovery.nearby_move_delay_s,
        active=timedelta(days=discovery.nearby_active_days),
    )
