"""`datingtoday pay`: payments, as an operator looks after them, and the sandbox's provider played by hand."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datingtoday.cli.main import CommandFailed
from datingtoday.cli.options import settings_options
from datingtoday.cli.parts import open_parts
from datingtoday.cli.progress import Progress
from datingtoday.cli.terminal import say
from datingtoday.infra.text import Text

if TYPE_CHECKING:
    from datingtoday.app import Parts
    from datingtoday.infra.payments.models import SandboxTrade
    from datingtoday.infra.payments.sandbox import SandboxPayments

_TIMEOUT_S = 30
_MAX_THREADS = 50
_REFUND_NO = re.compile(r"[0-9A-Za-z_|*@-]{1,64}")
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


_AGAIN = Text("stopped; nothing was changed: run it again", "已停止；没有做任何修改：请再次运行")


@click.group()
def command() -> None:
    """Look after payments."""


@command.command()
@click.option("--trade-no", required=True, help="The order's trade_no.")
@click.option("--refund", is_flag=True, help="Refund it instead of paying it.")
@click.option(
    "--times",
    type=click.IntRange(0, 1000),
    default=1,
    show_default=True,
    help="How many notifications, all at once; 0: paid, but the notification gets lost.",
)
@click.option(
    "--amount",
    "amount_fen",
    type=click.IntRange(1, 2**31 - 1),
    help="Another amount in fen: of a payment, to see it refused; of a refund, a part.",
)
@click.option("--url", help="Address of the running server [that of the settings].")
@settings_options
def sandbox(
    trade_no: str,
    refund: bool,
    times: int,
    amount_fen: int | None,
    url: str | None,
    config_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Play the sandbox's provider: pay or refund an order, and notify a running server.

    Exit codes: 0 every notification was accepted, 1 failed or refused, 2 wrong usage or settings.
    """
    with open_parts(config_file, data_dir, needs_redis=False) as parts:
        provider = _provider(parts)
        now = datetime.now(UTC)
        trade = _moved(provider, trade_no, now, is_refund=refund, amount_fen=amount_fen)
        headers, body = provider.notice(
            trade, now, amount_fen=None if refund else amount_fen, is_refund=refund
        )
        server = parts.base.settings.server
    target = f"{(url or f'http://{server.host}:{server.port}').rstrip('/')}/api/pay/notify/sandbox"
    if not target.startswith(("http://", "https://")):
        raise click.UsageError("--url: allowed: an http:// or https:// address")
    with ThreadPoolExecutor(_MAX_THREADS) as threads:
        answers = list(threads.map(lambda _: _post(target, headers, body), range(times)))
    for status, text in answers:
        click.echo(f"{status} {text}")
    if times == 0:
        say(
            f"{trade_no} is {trade.state}; no notification sent",
            f"{trade_no} 状态为 {trade.state}；未发送通知",
        )
    if any(status != 200 for status, _ in answers):
        raise CommandFailed("a notification was refused", "有通知被拒绝")


@command.command()
@click.option(
    "--days",
    type=click.IntRange(0, 3660),
    default=30,
    show_default=True,
    help="Orders of how many days are asked about at their providers; the ledger is compared as a whole.",
)
@settings_options
def reconcile(days: int, config_file: Path | None, data_dir: Path | None) -> None:
    """Compare ledger, orders and providers, and name each difference; changes nothing.

    One line a finding: kind, channel, trade_no, user id, detail, separated by tabs; docs/payments.md says what to do
    about each.

    Exit codes: 0 nothing differs, 1 something does or failed, 2 the settings are wrong.
    """
    with open_parts(config_file, data_dir, needs_redis=False) as parts, Progress(again=_AGAIN) as progress:
        found = parts.vip.reconciliation.run(
            datetime.now(UTC),
            days=days,
            report_progress=lambda done, total: progress.report(
                done, f"{done} / {total} orders", f"{done} / {total} 个订单", total=total
            ),
        )
    for it in found:
        click.echo("\t".join((it.kind.value, it.channel, it.trade_no, str(it.user_id or ""), it.detail)))
    if found:
        raise CommandFailed(
            f"{len(found)} findings: see docs/payments.md", f"{len(found)} 处差异：见 docs/payments.md"
        )
    say("ledger, orders and providers agree", "账本、订单与支付平台一致")


@command.command()
@click.option("--trade-no", required=True, help="The order's trade_no.")
@click.option(
    "--refund-no",
    default="",
    help="Move no money: look up this refund, made in WeChat Pay's console, and apply what it gave back.",
)
@settings_options
def refund(trade_no: str, refund_no: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Give a paid order's money back, and take its days back once the provider has done it.

    Asked for now, and again by the worker until it is done. If the provider says that all of it went back already,
    that is applied instead. Apple's payments are refunded by Apple only.

    Exit codes: 0 done, or accepted by the provider; 1 failed; 2 wrong usage or settings.
    """
    if refund_no and not _REFUND_NO.fullmatch(refund_no):
        raise click.UsageError("--refund-no: allowed: 1 to 64 of letters, digits and _-|*@")
    with open_parts(config_file, data_dir) as parts:
        jobs, now = parts.vip.jobs, datetime.now(UTC)
        outcome = _found_refund(parts, trade_no, refund_no, now)
        if outcome is not None:
            say(
                f"{trade_no}: the provider's refund is applied: {outcome}",
                f"{trade_no}：已按支付平台的退款记录处理：{outcome}",
            )
            return
        order = jobs.order_refund(trade_no, now)
        if order is None:
            raise CommandFailed(
                f"there is no paid order {trade_no} that we can refund",
                f"没有可由我们退款的已支付订单 {trade_no}",
            )
        jobs.refund(now)
        with parts.base.database.reading() as session:
            state = parts.vip.orders.by_trade_no(session, trade_no).state
    if state == "refunded":
        say(f"{trade_no} is refunded", f"{trade_no} 已退款")
    else:
        say(f"{trade_no}: the refund goes on in the background", f"{trade_no}：退款将在后台继续处理")


def _found_refund(parts: Parts, trade_no: str, refund_no: str, now: datetime) -> str | None:
    """The outcome of a refund that was made at the provider; None: there is none that tells its amount."""
    from datingtoday.infra.payments.provider import PaymentFailed

    try:
        outcome = parts.vip.jobs.find_refund(trade_no, refund_no, now)
    except PaymentFailed as error:
        if not refund_no:
            # The refund itself is tried, and tried again by the worker.
            return None
        raise CommandFailed(f"the provider did not answer: {error}", f"支付平台没有答复：{error}") from error
    if refund_no and (outcome is None or outcome.startswith("refused")):
        raise CommandFailed(
            f"there is no finished refund {refund_no} of order {trade_no} that can be looked up",
            f"没有可以查询到的、订单 {trade_no} 的已完成退款 {refund_no}",
        )
    return outcome if refund_no or outcome == "refunded" else None


def _provider(parts: Parts) -> SandboxPayments:
    if parts.vip.sandbox is None:
        raise CommandFailed(
            "the sandbox is off: set [PAY] sandbox = 1", "沙箱未开启：请设置 [PAY] sandbox = 1"
        )
    return parts.vip.sandbox


def _moved(
    provider: SandboxPayments, trade_no: str, now: datetime, *, is_refund: bool, amount_fen: int | None
) -> SandboxTrade:
    """The payment after what happened to it at the provider.

    :raises CommandFailed: there is none, or it cannot happen.
    """
    if is_refund:
        trade = provider.give_back(trade_no, amount_fen, now)
    elif amount_fen is None:
        trade = provider.pay(trade_no, now)
    else:
        # Nobody pays a wrong amount: only its notification is sent.
        trade = provider.look_up(trade_no)
        if trade is not None and trade.transaction_id is None:
            trade.transaction_id = f"S{trade.trade_no}wrong"
    if trade is None:
        raise CommandFailed(
            f"the sandbox knows no payment {trade_no}: was the order created with channel = sandbox?",
            f"沙箱中没有交易 {trade_no}：订单的 channel 是否为 sandbox？",
        )
    if trade.transaction_id is None:
        raise CommandFailed(
            f"{trade_no} cannot be {'refunded' if is_refund else 'paid'}: it is {trade.state}, or too late",
            f"{trade_no} 无法{'退款' if is_refund else '支付'}：状态为 {trade.state}，或已超时",
        )
    return trade


def _post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    request = urllib.request.Request(  # noqa: S310 - checked to be http(s)
        url, data=body, headers={**headers, "Content-Type": "application/json"}
    )
    try:
        with _NO_PROXY.open(request, timeout=_TIMEOUT_S) as response:
            return response.status, response.read(4096).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(4096).decode(errors="replace")
    except OSError as error:
        raise CommandFailed(
            f"no server answers at {url}: {error}", f"无法连接服务器 {url}：{error}"
        ) from error
