"""The routes of an application as its ``@endpoint`` declarations tell them; what all documentation is made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Flask

from datingtoday.protocol.call import Endpoint
from datingtoday.protocol.endpoint import declared_endpoint

API_PREFIX = "/api/"
_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    """With its variable parts in braces: ``/api/media/{media_id}``."""
    variables: tuple[str, ...]
    endpoint: Endpoint
    module: str
    """Module that defines the view."""

    @property
    def is_api(self) -> bool:
        return self.path.startswith(API_PREFIX)

    @property
    def group(self) -> str:
        """The first part of the path after ``/api``: ``user``, ``auth``, …"""
        return self.path.removeprefix(API_PREFIX).split("/", 1)[0]

    @property
    def in_query(self) -> bool:
        """True if the parameters are in the query (GET), not in a form body."""
        return self.method == "GET"


def declared_routes(app: Flask) -> Iterator[Route]:
    """Every route with an ``@endpoint``, in the order of registration; ``HEAD`` and ``OPTIONS`` left out."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declared = declared_endpoint(view)
        if declared is None:
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Route(
                method=method,
                path=_VARIABLE.sub(r"{\1}", rule.rule),
                variables=tuple(_VARIABLE.findall(rule.rule)),
                endpoint=declared,
                module=view.__module__,
            )


def undeclared_routes(app: Flask) -> list[str]:
    """Paths whose view has no ``@endpoint``, which nothing guards; there must be none."""
    return [
        rule.rule
        for rule in app.url_map.iter_rules()
        if declared_endpoint(app.view_functions[rule.endpoint]) is None
    ]
