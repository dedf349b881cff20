"""Parameters and answers of products, orders and VIP."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from marshmallow import Schema, fields

from datingtoday.infra.text import Text
from datingtoday.protocol.fields import Choice, Id, Parameter, ParamsSchema, WireTime
from datingtoday.protocol.paging import PageParams
from datingtoday.vip.channels import NAMES
from datingtoday.vip.models import CLIENT_ID_CHARS

MAX_RECEIPT_CHARS = 16_384
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
    product_id = fields.Integer(required=True)
    name = fields.String(required=True)
    desc = fields.String(required=True)
    vip_days = fields.Integer(required=True)
    price_fen = fields.Integer(required=True)


class VipSchema(Schema):
    vip = fields.Boolean(required=True)
    vip_deadline = WireTime(required=True, allow_none=True)


class CreateOrderParams(ParamsSchema):
    product_id = Id(data_key="productId")
    channel = Choice(NAMES)
    client_id = ClientId(data_key="clientId")


class OrderIdParams(ParamsSchema):
    order_id = Id(data_key="orderId")


class ConfirmParams(OrderIdParams):
    receipt = Receipt()


class OrderListParams(PageParams):
    """A page of orders."""


class OrderSchema(Schema):
    order_id = fields.Integer(required=True)
    trade_no = fields.String(required=True)
    product_id = fields.Integer(required=True)
    product_name = fields.String(required=True)
    vip_days = fields.Integer(required=True)
    fee_fen = fields.Integer(required=True)
    channel = fields.String(required=True)
    state = fields.String(
        required=True, metadata={"enum": ["unpaid", "paid", "cancelled", "expired", "refunded"]}
    )
    order_time = WireTime(required=True)
    paid_time = WireTime(required=True, allow_none=True)
    expire_time = WireTime(required=True)


class NewOrderSchema(OrderSchema):
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
