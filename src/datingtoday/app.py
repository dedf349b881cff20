"""The one place where the parts are put together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Flask
from sqlalchemy.orm import Session

from datingtoday.accounts.personal_data import LoginData
from datingtoday.accounts.routes import auth_routes, phone_routes
from datingtoday.accounts.service import Accounts
from datingtoday.accounts.sessions import Sessions
from datingtoday.accounts.sms_codes import SmsCodes, SmsRules
from datingtoday.infra.cache import ReadyCache
from datingtoday.infra.config import Settings
from datingtoday.infra.db import Database
from datingtoday.infra.events import Events
from datingtoday.infra.logs import configure_logs
from datingtoday.infra.personal_data import KeepsPersonalData
from datingtoday.infra.ratelimit import RateLimits
from datingtoday.infra.redis import RedisRole
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.sms.provider import SmsProvider
from datingtoday.media.inspect import Kind
from datingtoday.media.make import make_media
from datingtoday.media.models import Media
from datingtoday.media.personal_data import MediaData
from datingtoday.media.routes import media_routes
from datingtoday.media.service import MediaService
from datingtoday.media.serving import Authoriser, MediaDelivery
from datingtoday.media.signed_urls import UrlSigner
from datingtoday.profiles.blocks import Blocks
from datingtoday.profiles.cards import Cards
from datingtoday.profiles.follows import Follows
from datingtoday.profiles.labels import Labels
from datingtoday.profiles.people import NobodyIsVip
from datingtoday.profiles.personal_data import ProfileData
from datingtoday.profiles.routes import follow_routes, label_routes, user_routes
from datingtoday.profiles.service import NoPhotos, Profiles
from datingtoday.profiles.visibility import Action, Visibility
from datingtoday.protocol.client_apps import ClientApps, KnownApp
from datingtoday.protocol.endpoint import GUARD
from datingtoday.protocol.error_answers import answer_errors
from datingtoday.protocol.guard import Guard, GuardOptions
from datingtoday.protocol.guarded_flask import GuardedFlask
from datingtoday.protocol.metrics import Metrics
from datingtoday.protocol.pages import register_pages
from datingtoday.protocol.paging import Cursors
from datingtoday.protocol.peer import Peers
from datingtoday.protocol.replay import ReplayGuard
from datingtoday.protocol.timestamps import Clock
from datingtoday.safety.app_config import AppConfig
from datingtoday.safety.deletion import Deletion
from datingtoday.safety.export import Export
from datingtoday.safety.moderation import Moderation
from datingtoday.safety.personal_data import ReportData
from datingtoday.safety.reports import NoMessages, Reports
from datingtoday.safety.routes import app_routes, rights_routes

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
    sessions: Sessions
    accounts: Accounts
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
    cards = Cards(entries, signer, vip)
    visibility = Visibility(entries, vip)
    delivery.register_authoriser(Kind.PHOTO, photo_authoriser(visibility))
    cursors = Cursors(secret_key)
    profiles = Profiles(entries, cards, visibility, events, NoPhotos())
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
    keepers: tuple[KeepsPersonalData, ...] = (
        ProfileData(cards),
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
        sessions=sessions,
        accounts=accounts,
        personal_data=keepers,
        reports=Reports(
            profiles,
            visibility,
            NoMessages(),
            per_day=settings.limits.reports_per_day if limited else None,
        ),
        moderation=Moderation(profiles, sessions),
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
    app = GuardedFlask("datingtoday", static_folder=None)
    app.extensions[PARTS] = parts
    region = settings.accounts.default_region
    app.register_blueprint(auth_routes(parts.accounts, region=region, echo=settings.sms.echo))
    app.register_blueprint(phone_routes(parts.accounts, region=region))
    app.register_blueprint(user_routes(parts.profiles))
    app.register_blueprint(follow_routes(parts.follows, parts.blocks))
    app.register_blueprint(label_routes(parts.labels))
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
        clock=clock,
    )
    app.extensions[GUARD] = guard
    guard.install(app)
    return app


def photo_authoriser(visibility: Visibility) -> Authoriser:
    """A profile's photos are for those who may see the profile."""

    def may_see(session: Session, viewer_id: int, media: Media, now: datetime, /) -> bool:
        return visibility.may(session, viewer_id, media.user_id, Action.SHOW, now)

    return may_see


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
