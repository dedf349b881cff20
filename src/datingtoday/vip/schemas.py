"""Parameters and answers of products, orders and VIP."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.protocol.described import about
from datingtoday.protocol.fields import Choice, Id, Parameter, ParamsSchema, WireTime
from datingtoday.protocol.paging import PageParams
from datingtoday.vip.channels import NAMES
from datingtoday.vip.models import CLIENT_ID_CHARS, OrderState

MAX_RECEIPT_CHARS = 16_384
CHANNEL_NAMES = dict(
    zip(
        NAMES,
        (
            Text("for tests, no money moves", "沙箱，不会真实扣款"),
            Text("WeChat Pay", "微信支付"),
            Text("Alipay", "支付宝"),
            Text("Apple in-app purchase", "苹果应用内购买"),
        ),
        strict=True,
    )
)
STATE_NAMES = {
    OrderState.UNPAID.value: Text("waiting for the payment", "待支付"),
    OrderState.PAID.value: Text("paid", "已支付"),
    OrderState.CANCELLED.value: Text("cancelled by the user", "用户已取消"),
    OrderState.EXPIRED.value: Text("not paid in time", "超时未支付"),
    OrderState.REFUNDED.value: Text("refunded", "已退款"),
}
_CLIENT_ID = re.compile(r"[ -~]{1,64}\Z", re.ASCII)
_RECEIPT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z", re.ASCII)


class ClientId(Parameter):
    """The client's own id of a purchase."""

    allowed = Text(
        f"1 to {CLIENT_ID_CHARS} printable ASCII characters", f"1 到 {CLIENT_ID_CHARS} 个可打印 ASCII 字符"
    )
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": CLIENT_ID_CHARS}

    def read(self, text: str) -> str:
        if not _CLIENT_ID.match(text):
            raise ValueError(text)
        return text


class Receipt(Parameter):
    """Apple's signed transaction: a JWS in compact form."""

    allowed = Text("the signed transaction (JWS) that StoreKit gave", "StoreKit 返回的签名交易（JWS）")
    openapi: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": MAX_RECEIPT_CHARS}

    def read(self, text: str) -> str:
        if len(text) > MAX_RECEIPT_CHARS or not _RECEIPT.match(text):
            raise ValueError(text)
        return text


class ProductSchema(Schema):
    summary: ClassVar[Text] = Text("A VIP product that is for sale.", "在售的会员商品。")

    product_id = fields.Integer(
        required=True, metadata=about("`productId` of `order/create`", "下单时的 `productId`")
    )
    name = fields.String(required=True, metadata=about("name to show", "商品名称"))
    desc = fields.String(required=True, metadata=about("description to show", "商品说明"))
    vip_days = fields.Integer(required=True, metadata=about("days of VIP that it gives", "会员天数"))
    price_fen = fields.Integer(required=True, metadata=about("price in fen (1/100 yuan)", "价格（分）"))


class VipSchema(Schema):
    summary: ClassVar[Text] = Text("My VIP membership.", "我的会员状态。")

    vip = fields.Boolean(required=True, metadata=about("VIP now", "现在是否会员"))
    vip_deadline = WireTime(
        required=True,
        allow_none=True,
        metadata=about("end of VIP, UTC; null: never was VIP", "会员到期时间（UTC）；null 表示从未开通"),
    )


class CreateOrderParams(ParamsSchema):
    product_id = Id(data_key="productId")
    channel = Choice(CHANNEL_NAMES)
    client_id = ClientId(data_key="clientId")


class OrderIdParams(ParamsSchema):
    order_id = Id(data_key="orderId")


class ConfirmParams(OrderIdParams):
    receipt = Receipt()


class OrderListParams(PageParams):
    """A page of orders."""


class OrderSchema(Schema):
    summary: ClassVar[Text] = Text("An order.", "订单。")

    order_id = fields.Integer(required=True, metadata=about("id of the order", "订单 id"))
    trade_no = fields.String(
        required=True,
        metadata=about(
            "number that the payment provider and the user's bill show", "商户订单号，即支付平台账单上的编号"
        ),
    )
    product_id = fields.Integer(required=True, metadata=about("product that was ordered", "商品 id"))
    product_name = fields.String(
        required=True, metadata=about("its name at the time of the order", "下单时的商品名称")
    )
    vip_days = fields.Integer(required=True, metadata=about("days of VIP that it gives", "会员天数"))
    fee_fen = fields.Integer(
        required=True, metadata=about("amount to pay in fen (1/100 yuan)", "应付金额（分）")
    )
    channel = fields.String(required=True, metadata=about("payment channel", "支付渠道", names=CHANNEL_NAMES))
    state = fields.String(required=True, metadata=about("state of the order", "订单状态", names=STATE_NAMES))
    order_time = WireTime(required=True, metadata=about("time of the order, UTC", "下单时间（UTC）"))
    paid_time = WireTime(
        required=True,
        allow_none=True,
        metadata=about("time of the payment, UTC; null: not paid", "支付时间（UTC）；null 表示未支付"),
    )
    expire_time = WireTime(
        required=True, metadata=about("until when it can be paid, UTC", "支付截止时间（UTC）")
    )


class NewOrderSchema(OrderSchema):
    summary: ClassVar[Text] = Text("An order, with what is needed to pay it.", "订单及支付所需的参数。")

    pay_params = fields.Dict(
        keys=fields.String(),
        required=True,
        allow_none=True,
        metadata={
            "description": Text(
                "what the channel's payment SDK needs; null once the order is not unpaid. sandbox: `pay_url`; "
                "wechat: `appid partnerid prepayid package noncestr timestamp sign`; alipay: `order_string`; "
                "apple: `product_id app_account_token`",
                "支付渠道 SDK 所需的参数；订单不再是待支付状态时为 null。sandbox：`pay_url`；"
                "wechat：`appid partnerid prepayid package noncestr timestamp sign`；alipay：`order_string`；"
                "apple：`product_id app_account_token`",
            )
        },
    )
