"""Errors of VIP, orders and payments."""

from __future__ import annotations

from datingtoday.infra.text import Text
from datingtoday.protocol.errors import AppError, ParameterError


class VipRequired(AppError):
    code = 1501
    en = "vip required"
    zh = "需要会员"
    cause = Text("Only VIPs may do this.", "该功能仅限会员使用。")
    cure = Text(
        "Buy VIP (`order/create`); `app/config` lists what it unlocks.",
        "购买会员（`order/create`）；`app/config` 列出了会员权益。",
    )


class ProductNotFound(AppError):
    code = 1502
    en = "product not found"
    zh = "商品不存在"
    cause = Text(
        "No product has this id, or it is not sold any more, or not on this channel.",
        "没有该商品，或已下架，或不在该支付渠道出售。",
    )
    cure = Text("Ask `product/list` again.", "重新获取 `product/list`。")


class OrderNotFound(AppError):
    code = 1503
    en = "order not found"
    zh = "订单不存在"
    cause = Text("No order of yours has this id.", "你没有这个编号的订单。")
    cure = Text(
        "Use an id of `order/create` or `order/list`.", "使用 `order/create` 或 `order/list` 返回的编号。"
    )


class OrderNotPayable(AppError):
    code = 1504
    en = "order is not payable: it is {state}"
    zh = "订单当前不可支付：{state}"
    cause = Text("The order is paid, refunded or expired.", "订单已支付、已退款或已过期。")
    cure = Text(
        "Show the order again; buy anew with a new clientId.",
        "重新查询订单；如需购买请用新的 clientId 下单。",
    )


class ReceiptRefused(AppError):
    code = 1505
    en = "receipt refused"
    zh = "凭据无效"
    cause = Text(
        "The receipt is forged or revoked, or belongs to another order, user, product or app.",
        "凭据系伪造或已被撤销，或属于其他订单、用户、商品或应用。",
    )
    cure = Text(
        "Send the signed transaction that StoreKit gave for this order's appAccountToken.",
        "发送 StoreKit 针对该订单 appAccountToken 返回的签名交易。",
    )


STATE_NAMES = {
    "unpaid": Text("unpaid", "待支付"),
    "paid": Text("paid", "已支付"),
    "cancelled": Text("cancelled", "已取消"),
    "expired": Text("expired", "已过期"),
    "refunded": Text("refunded", "已退款"),
}


def channel_not_set_up(channels: list[str]) -> ParameterError:
    """:param channels: those that are."""
    listed = " ".join(channels)
    return ParameterError.plain(
        f"channel is not set up on this server; allowed: {listed or 'none yet'}",
        f"本服务器未开通该支付渠道 channel；允许：{listed or '暂无'}",
    )


def no_receipts() -> ParameterError:
    return ParameterError.plain(
        "orderId is of a channel without receipts; allowed: orders of apple",
        "orderId 所属支付渠道没有凭据；允许：apple 渠道的订单",
    )
