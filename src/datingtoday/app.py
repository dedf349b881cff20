"""The one place where the parts are put together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask

from datingtoday.accounts.personal_data import LoginData
from datingtoday.accounts.routes import auth_routes, phone_routes
from datingtoday.accounts.service import Accounts, LoggedIn
from datingtoday.accounts.sessions import Sessions
from datingtoday.accounts.sms_codes import SmsCodes, SmsRules
from datingtoday.discovery.derived_rows import PeopleIndex
from datingtoday.discovery.hot.editions import Editions
from datingtoday.discovery.hot.ranking import ForwardDecay
from datingtoday.discovery.hot.routes import hot_routes
from datingtoday.discovery.hot.scores import AttentionListener, HotScores
from datingtoday.discovery.hot.service import HotList
from datingtoday.discovery.nearby.daily_order import Orders
from datingtoday.discovery.nearby.grid import Grid
from datingtoday.discovery.nearby.pages import NearbyList
from datingtoday.discovery.nearby.personal_data import PlaceData
from datingtoday.discovery.nearby.places import PlaceRules, Places
from datingtoday.discovery.nearby.routes import nearby_routes
from datingtoday.discovery.nearby.service import Nearby
from datingtoday.discovery.personal_data import PeopleData
from datingtoday.discovery.rebuild import HotRebuild
from datingtoday.discovery.search.routes import search_routes
from datingtoday.discovery.search.service import Search
from datingtoday.discovery.search.statements import on_person_written
from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.db import Database
from datingtoday.infra.events import Events
from datingtoday.infra.logs import configure_logs
from datingtoday.infra.personal_data import KeepsPersonalData
from datingtoday.infra.ratelimit import RateLimits
from datingtoday.infra.redis import RedisRole
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.sms.provider import SmsProvider
from datingtoday.media.delivery import MediaDelivery
from datingtoday.media.parts import make_media
from datingtoday.media.personal_data import MediaData
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.routes import media_routes
from datingtoday.media.service import MediaJudged, MediaService
from datingtoday.media.signed_urls import UrlSigner
from datingtoday.profiles.album import Album
from datingtoday.profiles.blocks import Blocks
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.finding import Finding
from datingtoday.profiles.follows import Followed, Follows
from datingtoday.profiles.labels import Labels
from datingtoday.profiles.people import NobodyIsVip, People
from datingtoday.profiles.personal_data import ProfileData
from datingtoday.profiles.routes import album_routes, follow_routes, label_routes, user_routes
from datingtoday.profiles.service import FirstActiveToday, ProfileChanged, Profiles, ProfileVisited
from datingtoday.profiles.visibility import Visibility
from datingtoday.protocol.call import GUARD
from datingtoday.protocol.error_answers import answer_errors
from datingtoday.protocol.guard import Guard, GuardOptions
from datingtoday.protocol.metrics import Metrics
from datingtoday.protocol.paging import Cursors
from datingtoday.protocol.peer import Peers
from datingtoday.protocol.signing.client_apps import ClientApps, KnownApp
from datingtoday.protocol.signing.replay import ReplayGuard
from datingtoday.protocol.signing.timestamps import Clock
from datingtoday.safety.app_config import AppConfig
from datingtoday.safety.deletion import Deletion
from datingtoday.safety.export import Export
from datingtoday.safety.moderation import Moderation
from datingtoday.safety.personal_data import ReportData
from datingtoday.safety.reports import NoMessages, Reports
from datingtoday.safety.routes import app_routes, rights_routes
from datingtoday.web.parts import register_pages

PARTS = "datingtoday"
"""The place of `Parts` in ``Flask.extensions``."""


@dataclass(frozen=True)
class Parts:
    """What an application is made of; commands and tests take parts from here."""

    settings: Settings
    database: Database
    redis: RedisRole
    cache: RedisRole
    entries: ReadyCache
    replay: ReplayGuard
    apps: ClientApps
    events: Events
    media: MediaService
    delivery: MediaDelivery
    cards: Cards
    visibility: Visibility
    profiles: Profiles
    follows: Follows
    blocks: Blocks
    labels: Labels
    album: Album
    sessions: Sessions
    accounts: Accounts
    search: Search
    attention: AttentionListener
    editions: Editions
    hot: HotList
    hot_rebuild: HotRebuild
    places: Places
    nearby: Nearby
    personal_data: tuple[KeepsPersonalData, ...]
    reports: Reports
    moderation: Moderation
    deletion: Deletion
    export: Export


def make_parts(settings: Settings, *, sms: SmsProvider | None = None, clock: Clock = time.time_ns) -> Parts:
    """Every service with what it depends on; opens no connection.

    :param sms: in place of the provider that the settings name.
    :param clock: the server's time, by which requests are judged.
    """
    database = Database(
        settings.database.uri, pool_size=settings.database.pool_size, timeout_s=settings.database.timeout_s
    )
    redis = RedisRole(settings.redis.uri, timeout_s=settings.redis.timeout_s)
    replay = ReplayGuard(
        redis,
        database,
        window_s=settings.protocol.window_s,
        ahead_s=settings.protocol.ahead_s,
        clock=clock,
    )
    events = Events()
    secret_key = bytes.fromhex(settings.security.secret_key)
    cache = cache_role(settings, redis)
    entries = ReadyCache(cache, database)
    vip = NobodyIsVip()
    signer = UrlSigner(settings.security.secret_key)
    media, delivery = make_media(settings, database, signer, events)
    cards = Cards(entries, signer, People(vip, media))
    events.listen(MediaJudged, cards.judged)
    visibility = Visibility(entries, vip)
    finding = Finding(entries, cards, visibility)
    album = Album(media, visibility, cards)
    delivery.register_authoriser(Kind.PHOTO, album.may_see)
    cursors = Cursors(secret_key)
    decay = ForwardDecay(settings.discovery.hot_half_life_days)
    people_index = PeopleIndex(decay)
    on_person_written(database.engine, people_index.person_written)
    scores = HotScores(decay, people_per_day=settings.discovery.hot_people_per_day)
    attention = AttentionListener(database, cache, scores, visibility)
    events.listen(ProfileVisited, attention.visited)
    events.listen(Followed, attention.followed)
    events.listen(FirstActiveToday, attention.active)
    editions = Editions(
        database,
        cache,
        scores,
        size=settings.discovery.hot_size,
        refresh_s=settings.discovery.hot_refresh_s,
    )
    profiles = Profiles(entries, cards, visibility, events, media)
    sessions = Sessions(
        database,
        redis,
        profiles,
        life=timedelta(days=settings.accounts.session_days),
        devices=settings.accounts.devices,
    )
    limits = RateLimits(redis)
    codes = SmsCodes(
        database,
        limits,
        sms or make_sms_provider(settings.sms),
        sms_rules(settings),
        secret_key,
    )
    accounts = Accounts(codes, sessions, profiles, events)
    places = Places(entries, Grid(settings.discovery.nearby_grid_m), place_rules(settings))
    people_nearby = NearbyList(entries, places, Orders(secret_key), finding, cards, cursors)
    keepers: tuple[KeepsPersonalData, ...] = (
        ProfileData(cards),
        PeopleData(people_index),
        PlaceData(places),
        MediaData(media),
        LoginData(),
        ReportData(),
    )
    limited = settings.limits.enabled
    return Parts(
        settings=settings,
        database=database,
        redis=redis,
        cache=cache,
        entries=entries,
        replay=replay,
        apps=ClientApps(database, configured_app(settings)),
        events=events,
        media=media,
        delivery=delivery,
        cards=cards,
        visibility=visibility,
        profiles=profiles,
        follows=Follows(visibility, cards, cursors, events),
        blocks=Blocks(visibility, cards, cursors, events),
        labels=Labels(entries, cards),
        album=album,
        sessions=sessions,
        accounts=accounts,
        search=Search(cards, cursors),
        attention=attention,
        editions=editions,
        hot=HotList(editions, finding, cards, cursors, personal=settings.discovery.hot_personal),
        hot_rebuild=HotRebuild(database, people_index, editions),
        places=places,
        nearby=make_nearby(database, cache, places, people_nearby, events),
        personal_data=keepers,
        reports=Reports(
            profiles,
            visibility,
            media,
            NoMessages(),
            per_day=settings.limits.reports_per_day if limited else None,
        ),
        moderation=Moderation(profiles, sessions, media),
        deletion=Deletion(accounts, profiles, events, keepers),
        export=Export(accounts, limits, keepers, per_day=1 if limited else None),
    )


def create_app(
    settings: Settings,
    *,
    sms: SmsProvider | None = None,
    blueprints: Sequence[Blueprint] = (),
    clock: Clock = time.time_ns,
) -> Flask:
    """A Flask application for these settings; connects lazily, so it may be made before a fork.

    :param sms: in place of the provider that the settings name.
    :param blueprints: routes beside the product's own, guarded like them; for benchmarks and tests.
    :param clock: the server's time, by which requests are judged.
    """
    configure_logs(settings.log.level)
    parts = make_parts(settings, sms=sms, clock=clock)
    app = Flask("datingtoday", static_folder=None)
    app.extensions[PARTS] = parts
    region = settings.accounts.default_region
    app.register_blueprint(auth_routes(parts.accounts, region=region, echo=settings.sms.echo))
    app.register_blueprint(phone_routes(parts.accounts, region=region))
    app.register_blueprint(user_routes(parts.profiles))
    app.register_blueprint(follow_routes(parts.follows, parts.blocks))
    app.register_blueprint(label_routes(parts.labels))
    app.register_blueprint(search_routes(parts.search))
    app.register_blueprint(hot_routes(parts.hot))
    app.register_blueprint(nearby_routes(parts.nearby))
    app.register_blueprint(album_routes(parts.album))
    app.register_blueprint(
        media_routes(parts.media, parts.delivery, max_file_bytes=settings.media.max_file_bytes)
    )
    app.register_blueprint(rights_routes(parts.reports, parts.deletion, parts.export))
    app.register_blueprint(app_routes(AppConfig(settings)))
    metrics = Metrics(app) if settings.metrics.enabled else None
    register_pages(app, settings, parts.redis, metrics)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    answer_errors(app)
    guard = Guard(
        parts.apps,
        parts.replay,
        parts.sessions,
        parts.database,
        Peers(settings.server.trusted_proxies),
        guard_options(settings),
        observe=None if metrics is None else metrics.observe,
        cache=parts.entries,
        clock=clock,
    )
    app.extensions[GUARD] = guard
    guard.install(app)
    return app


def make_nearby(
    database: Database, cache: RedisRole, places: Places, people: NearbyList, events: Events
) -> Nearby:
    """Nearby, and what it wants to hear of."""
    nearby = Nearby(database, cache, places, people)
    events.listen(LoggedIn, nearby.logged_in)
    events.listen(ProfileChanged, nearby.profile_changed)
    events.listen(FirstActiveToday, nearby.active)
    return nearby


def cache_role(settings: Settings, guard: RedisRole) -> RedisRole:
    """The cache role; the guard's own connections where both are one server."""
    if settings.redis.cache_uri in ("", settings.redis.uri):
        return guard
    return RedisRole(settings.redis.cache_uri, timeout_s=settings.redis.timeout_s)


def configured_app(settings: Settings) -> KnownApp | None:
    """The client program of the settings."""
    if not settings.app.appkey:
        return None
    return KnownApp(settings.app.appkey, ((settings.app.appsecret, None),), settings.app.hmac_only)


def place_rules(settings: Settings) -> PlaceRules:
    discovery = settings.discovery
    return PlaceRules(
        edge_m=discovery.nearby_edge_m,
        move_delay_s=discovery.nearby_move_delay_s,
        active=timedelta(days=discovery.nearby_active_days),
    )


def guard_options(settings: Settings) -> GuardOptions:
    limits = settings.limits
    return GuardOptions(
        window_s=settings.protocol.window_s,
        ahead_s=settings.protocol.ahead_s,
        max_body_bytes=settings.protocol.max_body_bytes,
        explain=settings.protocol.explain,
        limit_per_user_per_minute=limits.per_user_per_minute if limits.enabled else None,
        access_log=settings.log.access,
    )


def sms_rules(settings: Settings) -> SmsRules:
    limits, accounts = settings.limits, settings.accounts
    rules: dict[str, Any] = {"code_ttl_s": accounts.code_ttl_s, "code_tries": accounts.code_tries}
    off = not limits.enabled
    return SmsRules(
        **rules,
        gap_s=None if off else limits.sms_gap_s,
        per_hour=None if off else limits.sms_per_hour,
        per_day=None if off else limits.sms_per_day,
        per_address_per_hour=None if off else limits.sms_per_address_per_hour,
        failures_per_address_per_hour=None if off else limits.failed_logins_per_address_per_hour,
        failures_per_hour=None if off else limits.failed_logins_per_hour,
    )
