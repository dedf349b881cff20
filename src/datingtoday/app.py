"""The application: every feature, put together from the settings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

from flask import Blueprint, Flask

from datingtoday.accounts.parts import AccountParts, make_accounts
from datingtoday.chat.parts import ChatParts, make_chat
from datingtoday.discovery.parts import DiscoveryParts, make_discovery
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.error_reports import reporter_of
from datingtoday.infra.jobs.gauges import JobGauges, StreamGauges
from datingtoday.infra.logs import configure_logs
from datingtoday.infra.parts import Foundation, make_foundation
from datingtoday.infra.pool_metrics import PoolGauge
from datingtoday.infra.sms.provider import SmsProvider
from datingtoday.media.parts import MediaParts, make_media
from datingtoday.profiles.parts import ProfileParts, make_profiles
from datingtoday.protocol.error_answers import answer_errors
from datingtoday.protocol.metrics import Metrics, Reader
from datingtoday.protocol.parts import Feature, Measured, ProtocolParts, install_guard, make_protocol
from datingtoday.protocol.signing.timestamps import Clock
from datingtoday.protocol.traced_app import install_tracing
from datingtoday.safety.parts import SafetyParts, make_safety
from datingtoday.vip.parts import VipParts, make_vip
from datingtoday.visitors.parts import VisitorParts, make_visitors
from datingtoday.web.parts import WebParts, make_web, register_pages

PARTS = "datingtoday"
"""The place of `Parts` in ``Flask.extensions``."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The features of an application, lowest first; commands and tests take services from here."""

    base: Foundation
    protocol: ProtocolParts
    media: MediaParts
    vip: VipParts
    profiles: ProfileParts
    accounts: AccountParts
    chat: ChatParts
    visitors: VisitorParts
    discovery: DiscoveryParts
    safety: SafetyParts
    web: WebParts

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints of every feature."""
        return [it for part in self._all() if isinstance(part, Feature) for it in part.blueprints()]

    def metric_readers(self) -> Sequence[Reader]:
        """Numbers of every feature that are read from SQL."""
        return [it for part in self._all() if isinstance(part, Measured) for it in part.metric_readers()]

    def _all(self) -> Sequence[object]:
        return [getattr(self, field.name) for field in fields(self)]


def make_parts(settings: Settings, *, sms: SmsProvider | None = None, clock: Clock = time.time_ns) -> Parts:
    """Make every service with what it depends on; opens no connection.

    :param sms: in place of the provider that the settings name.
    :param clock: the server's time in nanoseconds, by which requests are judged.
    """
    base = make_foundation(settings)
    protocol = make_protocol(base, clock=clock)
    media = make_media(base)
    vip = make_vip(base, protocol)
    profiles = make_profiles(base, protocol, media, vip)
    accounts = make_accounts(base, profiles, sms=sms)
    chat = make_chat(base, protocol, media, profiles)
    visitors = make_visitors(base, protocol, profiles)
    discovery = make_discovery(base, protocol, profiles)
    safety = make_safety(base, media, profiles, accounts, chat.evidence)
    web = make_web(base, chat, vip)
    return Parts(
        base=base,
        protocol=protocol,
        media=media,
        vip=vip,
        profiles=profiles,
        accounts=accounts,
        chat=chat,
        visitors=visitors,
        discovery=discovery,
        safety=safety,
        web=web,
    )


def create_app(
    settings: Settings,
    *,
    sms: SmsProvider | None = None,
    blueprints: Sequence[Blueprint] = (),
    clock: Clock = time.time_ns,
) -> Flask:
    """Create a Flask application for these settings; it connects lazily, so it may be made before a fork.

    :param sms: in place of the provider that the settings name.
    :param blueprints: routes beside the product's own, guarded like them; for benchmarks and tests.
    :param clock: the server's time in nanoseconds, by which requests are judged.
    """
    configure_logs(settings.log.level, reporter_of(settings.sentry))
    parts = make_parts(settings, sms=sms, clock=clock)
    app = Flask("datingtoday", static_folder=None)
    app.extensions[PARTS] = parts
    metrics = Metrics(app) if settings.metrics.enabled else None
    if metrics is not None:
        for read in parts.metric_readers():
            metrics.register(read)
        metrics.register(JobGauges(parts.base.database, parts.base.jobs).read)
        metrics.register(StreamGauges(parts.base.streams).read, needs="queues")
        metrics.sample(PoolGauge(parts.base.database, "api").update)
        parts.base.streams.observer = metrics.count_stream
        parts.base.realtime.observer = metrics.count_push
    for blueprint in parts.blueprints():
        app.register_blueprint(blueprint)
    register_pages(app, parts.base, metrics, parts.vip)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    answer_errors(app)
    install_guard(app, parts.base, parts.protocol, parts.accounts.sessions, metrics)
    install_tracing(app, parts.base.tracing)
    return app
