"""Pages outside ``/api`` (index, documentation, health, metrics), and ``/api/app``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Flask

from datingtoday.chat.parts import ChatParts
from datingtoday.infra.config.settings import Settings
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.infra.readiness import Readiness
from datingtoday.infra.redis import RedisRole
from datingtoday.protocol.declared_routes import declared_routes
from datingtoday.protocol.metrics import Metrics
from datingtoday.web.app_config import AppConfig
from datingtoday.web.demo_page import demo_routes
from datingtoday.web.docs_page import PageKey, docs_routes
from datingtoday.web.index_page import index_routes
from datingtoday.web.jobs import EVERY_S, DemoAnswers
from datingtoday.web.openapi import ApiDocument
from datingtoday.web.operations import internal_routes
from datingtoday.web.routes import app_routes


@dataclass(frozen=True)
class WebParts:
    """What clients are told about the app."""

    app_config: AppConfig

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints under ``/api/app``."""
        return [app_routes(self.app_config)]


def make_web(base: Foundation, chat: ChatParts) -> WebParts:
    """Make what clients are told; in the demo, somebody answers."""
    if base.settings.demo.enabled and base.settings.demo.answers:
        answers = DemoAnswers(base, chat)
        base.jobs.register(Job("demo_answers", EVERY_S, answers.run, has_work=answers.has_work))
    return WebParts(AppConfig(base.settings))


def register_pages(app: Flask, settings: Settings, redis: RedisRole, metrics: Metrics | None) -> None:
    """Register the routes; what is switched off answers 404 like any unknown path.

    :param redis: the guard role, which `/readyz` asks.
    :param metrics: None if nothing is counted.
    """
    if settings.server.index_page:
        app.register_blueprint(index_routes(settings))
    if settings.docs.enabled:
        # With a database of one's own there may be people whose data a signed request reaches.
        key = PageKey(settings.app.appkey, settings.app.appsecret) if settings.embedded else None
        app.register_blueprint(docs_routes(ApiDocument(lambda: declared_routes(app)), key=key))
    if settings.demo.enabled:
        app.register_blueprint(demo_routes(settings))
    readiness = Readiness(settings.database.uri, redis)
    app.register_blueprint(internal_routes(readiness, metrics, addresses=settings.server.internal_addresses))
