"""The protocol's services, and the guard in front of an application."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from flask import Blueprint, Flask

from datingtoday.infra.config.settings import Settings
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.protocol.account_limits import PeopleLimit
from datingtoday.protocol.call import GUARD, Shown
from datingtoday.protocol.guard import Guard, GuardOptions
from datingtoday.protocol.login import TokenVerifier
from datingtoday.protocol.metrics import Metrics, Reader
from datingtoday.protocol.paging import Cursors
from datingtoday.protocol.peer import Peers
from datingtoday.protocol.signing.check import SignatureCheck
from datingtoday.protocol.signing.client_apps import ClientApps, KnownApp
from datingtoday.protocol.signing.replay import ReplayGuard
from datingtoday.protocol.signing.sql_memory import KeptSignatures
from datingtoday.protocol.signing.timestamps import Clock


@runtime_checkable
class Measured(Protocol):
    """Parts with numbers for `/metrics`."""

    def metric_readers(self) -> Sequence[Reader]:
        """Readers that raise `DatabaseDown` where SQL cannot be reached."""


@runtime_checkable
class Feature(Protocol):
    """A feature as `app.py` sees it: services of its own, and endpoints."""

    def blueprints(self) -> Sequence[Blueprint]:
        """Its endpoints."""


@dataclass(frozen=True, slots=True)
class ProtocolParts:
    """Services of signed requests."""

    replay: ReplayGuard
    apps: ClientApps
    signatures: KeptSignatures
    """Signatures that SQL remembers; they are purged."""
    cursors: Cursors
    clock: Clock
    """The server's time in nanoseconds, by which requests are judged."""


def make_protocol(base: Foundation, *, clock: Clock = time.time_ns) -> ProtocolParts:
    """Make the protocol's services."""
    settings = base.settings
    kept = KeptSignatures(base.database)

    def forget_signatures(now: datetime) -> None:
        kept.forget_old(now, report_progress=base.jobs.checkpoint)

    base.jobs.register(Job("signatures_purge", 3600, forget_signatures))
    replay = ReplayGuard(
        base.guard_redis,
        base.database,
        window_s=settings.protocol.window_s,
        ahead_s=settings.protocol.ahead_s,
        clock=clock,
    )
    return ProtocolParts(
        replay=replay,
        signatures=kept,
        apps=ClientApps(base.database, _configured_app(settings)),
        cursors=Cursors(base.secret_key),
        clock=clock,
    )


def make_guard(
    base: Foundation, protocol: ProtocolParts, verifier: TokenVerifier, metrics: Metrics | None = None
) -> Guard:
    """Make the guard that admits requests.

    :param verifier: knows the tokens.
    :param metrics: counts every answer; None if nothing is counted.
    """
    settings = base.settings
    return Guard(
        SignatureCheck(protocol.apps, protocol.replay, explains=settings.protocol.explain),
        verifier,
        base.database,
        base.cache,
        Peers(settings.server.trusted_proxies, settings.server.forwarded_header),
        _guard_options(settings),
        observe=None if metrics is None else metrics.observe,
        clock=protocol.clock,
    )


def install_guard(
    app: Flask, base: Foundation, protocol: ProtocolParts, verifier: TokenVerifier, metrics: Metrics | None
) -> None:
    """Put a guard in front of an application whose routes are all registered."""
    guard = make_guard(base, protocol, verifier, metrics)
    app.extensions[GUARD] = guard
    guard.install(app)


def _configured_app(settings: Settings) -> KnownApp | None:
    """The client program of the settings."""
    if not settings.app.appkey:
        return None
    return KnownApp(settings.app.appkey, ((settings.app.appsecret, None),), settings.app.hmac_only)


def _people_limits(settings: Settings) -> dict[Shown, PeopleLimit]:
    limits = settings.limits
    return {
        "cards": PeopleLimit(limits.cards_per_hour, limits.cards_per_day),
        "profiles": PeopleLimit(limits.profiles_per_hour, limits.profiles_per_day),
    }


def _guard_options(settings: Settings) -> GuardOptions:
    limits = settings.limits
    return GuardOptions(
        max_body_bytes=settings.protocol.max_body_bytes,
        limit_per_user_per_minute=limits.per_user_per_minute if limits.enabled else None,
        people_limits=_people_limits(settings) if limits.enabled else {},
        cors_origins=settings.server.cors_origins,
        access_log=settings.log.access,
    )
