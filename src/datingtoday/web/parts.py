"""Pages outside ``/api`` (index, documentation, health, metrics), and ``/api/app``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Flask

from datingtoday.chat.parts import ChatParts
from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.infra.readiness import Readiness
from datingtoday.protocol.declared_routes import declared_routes
from datingtoday.protocol.metrics import Metrics
from datingtoday.vip.parts import VipParts
from datingtoday.web.app_config import AppConfig
from datingtoday.web.asyncapi import build_events_document
from datingtoday.web.demo_page import demo_routes
from datingtoday.web.docs_page import PageKey, docs_routes
from datingtoday.web.document import Document
from datingtoday.web.index_page import index_routes
from datingtoday.web.jobs import EVERY_S, DemoAnswers
from datingtoday.web.openapi import build_document
from datingtoday.web.operations import internal_routes
from datingtoday.web.postman.collection import build_collection
from datingtoday.web.routes import app_routes
from datingtoday.web.sandbox_page import sandbox_routes


@dataclass(frozen=True, slots=True)
class WebParts:
    """Content of `/api/app/config`."""

    app_config: AppConfig

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints under ``/api/app``."""
        return [app_routes(self.app_config)]


def make_web(base: Foundation, chat: ChatParts, vip: VipParts) -> WebParts:
    """Make the services of the pages, and the demo's answering person."""
    if base.settings.demo.enabled and base.settings.demo.answers:
        answers = DemoAnswers(base, chat)
        base.jobs.register(Job("demo_answers", EVERY_S, answers.run, has_work=answers.has_work))
    return WebParts(AppConfig(base.settings, vip.rights, vip.channels))


def register_pages(app: Flask, base: Foundation, metrics: Metrics | None, vip: VipParts) -> None:
    """Register the routes; what is switched off answers 404 like any unknown path.

    :param metrics: None if nothing is counted.
    :param vip: whose sandbox has a page where that channel is on.
    """
    settings = base.settings
    if settings.server.index_page:
        app.register_blueprint(index_routes(settings))
    if vip.sandbox_desk is not None:
        app.register_blueprint(sandbox_routes(vip.sandbox_desk))
    if settings.docs.enabled:
        # Outside the embedded default there may be real people whose data a signed request reaches.
        key = PageKey(settings.app.appkey, settings.app.appsecret) if settings.embedded else None
        api = Document(lambda: build_document(declared_routes(app)))
        events = Document(lambda: build_events_document(base.realtime.kinds))
        postman = Document(lambda: build_collection(build_document(declared_routes(app))))
        app.register_blueprint(docs_routes(api, events, postman, key=key))
    if settings.demo.enabled:
        app.register_blueprint(demo_routes(settings))
    readiness = Readiness(
        settings.database.uri,
        base.guard_redis,
        base.cache_redis,
        base.queue_redis,
        base.realtime,
        newer_schema=settings.database.newer_schema,
    )
    if metrics is not None:
        metrics.readiness = readiness
    app.register_blueprint(
        internal_routes(
            readiness,
            metrics,
            addresses=settings.server.internal_addresses,
            trusted_proxies=settings.server.trusted_proxies,
            secret_key=base.secret_key,
        )
    )
