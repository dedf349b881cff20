"""For those who run the server: ``/healthz``, ``/readyz`` and ``/metrics``, to this machine and configured addresses.

Anybody else is told that there is no such path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, request

from datingtoday.infra.readiness import NEEDED, Readiness
from datingtoday.infra.text import Text
from datingtoday.protocol import envelope
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import public_route
from datingtoday.protocol.errors import NotFound, Unavailable
from datingtoday.protocol.metrics import Metrics
from datingtoday.protocol.peer import networks, within
from datingtoday.web.connection_report import HEADER, is_proved, report


def internal_routes(
    readiness: Readiness,
    metrics: Metrics | None,
    *,
    addresses: Sequence[str],
    trusted_proxies: Sequence[str] = (),
    secret_key: bytes = b"",
) -> Blueprint:
    """The routes.

    :param metrics: None where nothing is counted; `/metrics` is unknown then.
    :param addresses: who besides loopback may ask; behind trusted proxies the client's address counts.
    :param secret_key: whoever proves to know it is told by ``/healthz`` how the request arrived.
    """
    bp = Blueprint("internal", __name__)
    allowed = networks(addresses)
    proxies = networks(trusted_proxies)

    def refuse_others(call: Call) -> None:
        if not call.is_local and not within(call.address, allowed):
            raise NotFound

    @bp.get("/healthz")
    @public_route(
        "Check that the process is alive",
        "进程是否存活",
        raises=(NotFound,),
    )
    def healthz(call: Call) -> Response:
        if is_proved(secret_key, request.headers.get(HEADER, ""), call.now.timestamp()):
            trusted = within(request.environ.get("REMOTE_ADDR") or "127.0.0.1", proxies)
            return _fresh(envelope.success(report(request.environ, call.address, trusted=trusted)))
        refuse_others(call)
        return _fresh(envelope.success())

    @bp.get("/readyz")
    @public_route(
        "Check that the database and Redis answer",
        "数据库和 Redis 是否可用",
        own_answers={
            200: Text(
                "`data` names the parts, and how long each took (`latency_ms`); its `status` is `ready`, or `degraded` "
                "where a part is down without which requests are answered all the same (cache, queues, worker, push)",
                "`data` 列出各部分及其耗时（`latency_ms`）；`status` 为 `ready`，或在不影响请求的部分"
                "（缓存、队列、后台进程、推送）不可用时为 `degraded`",
            ),
            503: Text("`data` says which part is down", "`data` 说明哪一部分不可用"),
        },
        raises=(NotFound,),
    )
    def readyz(call: Call) -> Response:
        refuse_others(call)
        found = readiness.check()
        down = {part for part, state in found.items() if not state.is_up}
        data: dict[str, Any] = {part: state.state for part, state in found.items()}
        data["latency_ms"] = {part: state.latency_ms for part, state in found.items()}
        if down.intersection(NEEDED):
            error = Unavailable()
            error.data = data
            raise error
        return _fresh(envelope.success({**data, "status": "degraded" if down else "ready"}))

    if metrics is None:
        return bp

    @bp.get("/metrics")
    @public_route(
        "Get metrics for Prometheus",
        "Prometheus 指标",
        raises=(NotFound,),
    )
    def numbers(call: Call) -> Response:
        refuse_others(call)
        body, content_type = metrics.text()
        return _fresh(body, content_type)

    return bp


def _fresh(body: bytes, content_type: str = envelope.CONTENT_TYPE) -> Response:
    return Response(body, content_type=content_type, headers={"Cache-Control": "no-store"})
