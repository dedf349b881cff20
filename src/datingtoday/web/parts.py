"""Everything outside ``/api`` that the settings ask for: the short page, the documentation, health and metrics."""

from __future__ import annotations

from flask import Flask

from datingtoday.infra.config.settings import Settings
from datingtoday.infra.readiness import Readiness
from datingtoday.infra.redis import RedisRole
from datingtoday.protocol.declared_routes import declared_routes
from datingtoday.protocol.metrics import Metrics
from datingtoday.web.docs_page import PageKey, docs_routes
from datingtoday.web.index_page import index_routes
from datingtoday.web.openapi import ApiDocument
from datingtoday.web.operations import internal_routes


def register_pages(app: Flask, settings: Settings, redis: RedisRole, metrics: Metrics | None) -> None:
    """Register the routes; what is switched off answers 404 like any unknown path.

    :param redis: the guard role, which `/readyz` asks.
    :param metrics: None if nothing is counted.
    """
    if settings.server.index_page:
        app.register_blueprint(index_routes(has_docs=settings.docs.enabled))
    if settings.docs.enabled:
        # With a database of one's own there may be people whose data a signed request reaches.
        key = PageKey(settings.app.appkey, settings.app.appsecret) if settings.embedded else None
        app.register_blueprint(docs_routes(ApiDocument(lambda: declared_routes(app)), key=key))
    readiness = Readiness(settings.database.uri, redis)
    app.register_blueprint(internal_routes(readiness, metrics, addresses=settings.server.internal_addresses))
