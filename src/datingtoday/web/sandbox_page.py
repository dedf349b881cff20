"""`/pay/sandbox/<random>`: the sandbox's page, with a pay button; it loads nothing."""

from __future__ import annotations

import base64
import hashlib
from html import escape

from flask import Blueprint, Response, request

from datingtoday.infra.payments.models import SandboxTrade, TradeState
from datingtoday.infra.payments.provider import PAGE_PATH
from datingtoday.infra.text import Text
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import public_route
from datingtoday.protocol.errors import NotFound
from datingtoday.vip.sandbox_desk import SandboxDesk

_STYLE = (
    "body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f4f5f7;color:#1c1e21;"
    'font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif}'
    "main{box-sizing:border-box;width:min(26rem,calc(100vw - 2rem));padding:2rem;background:#fff;"
    "border-radius:1rem;text-align:center;"
    "box-shadow:0 1px 12px rgba(0,0,0,.08)}h1{margin:0;font-size:1rem;font-weight:500}"
    ".amount{margin:.5rem 0;font-size:2.5rem;font-weight:600}.quiet{color:#6b7280;font-size:.875rem}"
    "button{width:100%;margin-top:1.25rem;padding:.75rem;border:0;border-radius:.5rem;background:#1f6feb;color:#fff;"
    "font:inherit;cursor:pointer}button:focus-visible{outline:3px solid #9ec5ff}.state{margin-top:1.25rem;"
    "font-weight:600}a{color:inherit}"
    "@media(prefers-color-scheme:dark){body{background:#111418;color:#e6e8eb}main{background:#1b1f24}"
    ".quiet{color:#9aa3ad}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HTML = "text/html; charset=utf-8"
_TITLE = Text("Sandbox payment", "沙箱支付")
_PAY = Text("Pay", "确认支付")
_NO_MONEY = Text("This is a test: no money moves.", "测试环境：不会产生任何真实扣款。")
_OTHER = Text("中文", "English")
_STATES = {
    TradeState.PAID: Text("Paid. You can go back to the app.", "支付成功，请返回应用。"),
    TradeState.REFUNDED: Text("Refunded.", "已退款。"),
    TradeState.CLOSED: Text("Closed: it cannot be paid any more.", "交易已关闭，无法支付。"),
}
_TOO_LATE = Text("The time to pay is over.", "已超过支付时间。")


def sandbox_routes(desk: SandboxDesk) -> Blueprint:
    """The page, where the channel is on."""
    bp = Blueprint("sandbox_page", __name__)
    about = {200: Text("the page", "页面"), 303: Text("paid, or not: the page says so", "结果见页面")}

    @bp.get(f"{PAGE_PATH}<page_key>")
    @public_route(
        "Show the sandbox's page", "沙箱支付页面",
        transaction="manual", own_answers=about, raises=(NotFound,),
    )  # fmt: skip
    def show(call: Call, page_key: str) -> Response:
        return _page(desk.find(page_key), call)

    @bp.post(f"{PAGE_PATH}<page_key>")
    @public_route(
        "Pay at the sandbox", "在沙箱页面支付",
        transaction="manual", own_answers=about, raises=(NotFound,),
    )  # fmt: skip
    def pay(call: Call, page_key: str) -> Response:
        if desk.pay(page_key, call.now) is None:
            raise NotFound
        # Loading the answer again must not pay again.
        return Response(status=303, headers={**_HEADERS, "Location": f"{page_key}?lang={_lang(call)}"})

    return bp


def _lang(call: Call) -> str:
    asked = request.args.get("lang", "")
    return asked if asked in ("en", "zh") else call.lang


def _page(trade: SandboxTrade | None, call: Call) -> Response:
    if trade is None:
        raise NotFound
    lang = _lang(call)
    state = TradeState(trade.state)
    if state is TradeState.OPEN and trade.expire_at > call.now:
        action = (
            f'<form method="post" action="?lang={lang}"><button id="pay">{_PAY.within(lang)}</button></form>'
        )
    else:
        action = f'<p class="state" role="status">{_STATES.get(state, _TOO_LATE).within(lang)}</p>'
    other = "en" if lang == "zh" else "zh"
    body = f"""<!doctype html>
<html lang="{"zh-CN" if lang == "zh" else "en"}" data-state="{state.value}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_TITLE.within(lang)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(trade.subject)}</h1>
<p class="amount">¥{trade.amount_fen // 100}.{trade.amount_fen % 100:02d}</p>
<p class="quiet">{escape(trade.trade_no)}</p>
{action}
<p class="quiet">{_NO_MONEY.within(lang)} <a href="?lang={other}" lang="{other}">{_OTHER.within(lang)}</a></p>
</main>
</body>
</html>
"""
    return Response(body, content_type=_HTML, headers=_HEADERS)
