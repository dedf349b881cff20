"""Flask behind the guard: what the guard has routed is not routed again.

Flask binds its URL map to every request's host and path; the guard has found the rule before, in a dictionary. Handing
it over saves about a tenth of what Flask costs per request (see docs/decisions/guard-ahead-of-dispatch.md).
"""

from __future__ import annotations

from typing import Any, Literal, cast

from flask import Flask, Request
from werkzeug.routing import MapAdapter, Rule

RULE = "datingtoday.rule"
"""Where the guard leaves the werkzeug rule of an admitted request in the WSGI environ."""


class GuardedFlask(Flask):
    """The application class; requests without a `RULE` in their environ are routed as always."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        rule = None if request is None else request.environ.get(RULE)
        if rule is None:
            return super().create_url_adapter(request)
        return cast(MapAdapter, _Routed(rule))


class _Routed:
    """As much of a `MapAdapter` as dispatching needs; nothing here builds URLs."""

    __slots__ = ("_rule",)

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def match(self, *, return_rule: Literal[True]) -> tuple[Rule, dict[str, Any]]:
        return self._rule, {}
