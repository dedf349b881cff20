"""Endpoint of a request as a label: its rule, never the path that a client wrote."""

from __future__ import annotations

from flask import Flask

from datingtoday.protocol.call import RULE, Environ

OTHER = "other"
"""In place of a path that no endpoint has: what clients make up must not become a time series."""


class EndpointLabels:
    """Labels of an application's requests; knows them once they were answered."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._paths: frozenset[str] | None = None

    def of(self, environ: Environ) -> str:
        """The rule of the request's endpoint, or `OTHER`."""
        path = str(environ.get("PATH_INFO", ""))
        if self._paths is None:
            # Not before: routes are still registered when this object is made.
            self._paths = frozenset(
                rule.rule for rule in self._app.url_map.iter_rules() if not rule.arguments
            )
        if path in self._paths:
            return path
        return environ.get(RULE) or OTHER
