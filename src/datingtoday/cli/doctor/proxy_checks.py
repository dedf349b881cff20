"""Checks through the public address: TLS, the clock, forwarded client addresses, and WebSockets."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from datingtoday.cli.doctor.clock_checks import difference
from datingtoday.cli.doctor.findings import Context, Finding, error, ok, warning
from datingtoday.cli.doctor.provider_checks import expiry
from datingtoday.cli.doctor.servers import TIMEOUT_S, reason_of
from datingtoday.infra.text import Text
from datingtoday.web.connection_report import HEADER, PATH, proof

FORGED = "198.51.100.77"
"""A documentation address (RFC 5737) that the doctor claims to be; a proxy that is set up right removes the claim."""
_RELOAD = "nginx -t && nginx -s reload"


def check_proxy(context: Context) -> Iterator[Finding]:
    """Nothing without ``--url``."""
    if not context.url:
        return
    parts = urlsplit(context.url)
    try:
        status, headers, body, ends_at = _ask(context, parts, {})
    except ssl.SSLCertVerificationError as failure:
        reason = failure.verify_message or "TLS"
        yield error(
            "proxy.tls",
            Text(f"the certificate is not accepted: {reason}", f"证书不被接受：{reason}"),
            f"certbot certonly --nginx -d {parts.hostname} && {_RELOAD}",
        )
        return
    except (OSError, http.client.HTTPException) as failure:
        yield error(
            "proxy.connection",
            Text(
                f"{context.url} does not answer: {reason_of(failure)}",
                f"{context.url} 无应答：{reason_of(failure)}",
            ),
            f"curl -v {context.url}/",
        )
        return
    if ends_at is not None:
        now = datetime.fromtimestamp(context.clock_ns() / 1e9, UTC)
        yield expiry("proxy.tls", f"{parts.hostname}", ends_at, now)
    else:
        yield warning(
            "proxy.tls",
            Text(
                "the public address is not https://: tokens and phone numbers are readable on the way",
                "公开地址不是 https://：令牌与手机号会被窃听",
            ),
            f"certbot --nginx -d {parts.hostname}",
        )
    if "Date" in headers:
        offset_s = parsedate_to_datetime(headers["Date"]).timestamp() - context.clock_ns() / 1e9
        # The header has whole seconds.
        yield difference(context, "clock.proxy", Text("the public address", "公开地址"), offset_s)
    yield from _forwarding(context, parts, status, body)
    yield _push(parts)


def _ask(
    context: Context, parts: SplitResult, headers: Mapping[str, str], path: str = PATH
) -> tuple[int, http.client.HTTPMessage, Any, datetime | None]:
    """Status, headers, the JSON in the body (None: it is none), and the end of the certificate."""
    now_s = context.clock_ns() // 10**9
    own = proof(bytes.fromhex(context.settings.security.secret_key), now_s, secrets.token_hex(8))
    with closing(_connection(parts)) as connection:
        connection.request("GET", parts.path.rstrip("/") + path, headers={HEADER: own, **headers})
        ends_at = None
        if isinstance(connection.sock, ssl.SSLSocket):
            certificate: Any = connection.sock.getpeercert()
            ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
        answer = connection.getresponse()
        content = answer.read(20_000)
    try:
        return answer.status, answer.headers, json.loads(content), ends_at
    except ValueError:
        return answer.status, answer.headers, None, ends_at


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            host, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)


def _forwarding(context: Context, parts: SplitResult, status: int, body: Any) -> Iterator[Finding]:
    check = "proxy.forwarding"
    plain = _report(status, body)
    if plain is None:
        yield _no_report(context, status)
        return
    claim = {"X-Forwarded-For": FORGED, "Forwarded": f"for={FORGED}"}
    forged_status, _, forged_body, _ = _ask(context, parts, claim)
    received = (_report(forged_status, forged_body) or plain)["forwarding"]
    peer = str(plain["peer"])
    if received and not plain["trusted"]:
        listed = ", ".join((*context.settings.server.trusted_proxies, peer))
        yield error(
            check,
            Text(
                f"the proxy {peer} is not in [SERVER] trusted_proxies: limits per address count the proxy",
                f"代理 {peer} 不在 [SERVER] trusted_proxies 中：按地址的限额会算到代理头上",
            ),
            f"[SERVER] trusted_proxies = {listed}",
        )
    elif believed := _believed(received, context.settings.server.forwarded_header):
        yield error(
            check,
            Text(
                f"the proxy passes {believed} on as clients write it, so anybody can evade limits per address",
                f"代理原样转发客户端自带的 {believed}，任何人都可绕过按地址的限额",
            ),
            _nginx('proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Forwarded "";'),
        )
    elif not plain["forwarding"]:
        yield warning(
            check,
            Text(
                f"no proxy forwards the client's address: all clients behind {peer} share one limit",
                f"没有代理转发客户端地址：{peer} 之后的所有客户端共用同一限额",
            ),
            _nginx("proxy_set_header X-Forwarded-For $remote_addr;"),
        )
    else:
        yield ok(
            check,
            f"the client's address arrives ({plain['address']}, by {peer})",
            f"客户端地址正确到达（{plain['address']}，经由 {peer}）",
        )


def _no_report(context: Context, status: int) -> Finding:
    return error(
        "proxy.forwarding",
        Text(
            f"{PATH} answers {status} instead of a report: another program or another secret_key answers there, "
            "or the proxy does not pass the path on",
            f"{PATH} 返回 {status} 而非报告：应答的是其他程序、secret_key 不同，或代理未转发该路径",
        ),
        f"curl -i {context.url}{PATH}",
    )


def _believed(received: Mapping[str, str], header: str) -> str:
    """The header in which the forged address stands last, where it counts; empty: none."""
    for name in ("X-Forwarded-For", "Forwarded"):
        last = received.get(name, "").rpartition(",")[2].strip()
        if header in ("either", name.lower()) and last in (FORGED, f"for={FORGED}"):
            return name
    return ""


def _nginx(directives: str) -> Text:
    return Text(f"nginx: {directives} then: {_RELOAD}", f"nginx：{directives} 然后：{_RELOAD}")


def _report(status: int, body: Any) -> Mapping[str, Any] | None:
    data = body.get("data") if isinstance(body, dict) else None
    return data if status == 200 and isinstance(data, dict) and "peer" in data else None


def _push(parts: SplitResult) -> Finding:
    """A WebSocket handshake up to Engine.IO's first packet."""
    check = "proxy.websocket"
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    scheme = "wss" if parts.scheme == "https" else "ws"
    address = f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/socket.io/?EIO=4&transport=websocket"
    try:
        with connect(address, open_timeout=TIMEOUT_S, close_timeout=1, proxy=None) as live:
            first = live.recv(timeout=TIMEOUT_S)
    except (OSError, WebSocketException) as failure:
        return error(
            check,
            Text(
                f"no WebSocket to /socket.io: {reason_of(failure)}",
                f"无法建立到 /socket.io 的 WebSocket：{reason_of(failure)}",
            ),
            _nginx("proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"),
        )
    if isinstance(first, str) and first.startswith("0{"):
        return ok(check, "WebSockets reach the push process", "WebSocket 可到达推送进程")
    return error(
        check,
        Text("something else than push answers at /socket.io", "/socket.io 上应答的不是推送服务"),
        f"curl -i '{parts.geturl()}/socket.io/?EIO=4&transport=polling'",
    )
