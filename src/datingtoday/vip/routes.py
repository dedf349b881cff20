"""Endpoints of products, VIP, orders and providers' notifications."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from datingtoday.infra.payments.provider import MAX_NOTICE_BYTES
from datingtoday.infra.text import Text
from datingtoday.protocol.call import Call
from datingtoday.protocol.endpoint import endpoint, public_route
from datingtoday.protocol.errors import ClientIdReused, NotFound, Unavailable
from datingtoday.protocol.paging import PageRequest, page_schema
from datingtoday.vip import schemas
from datingtoday.vip.errors import OrderNotFound, OrderNotPayable, ProductNotFound, ReceiptRefused
from datingtoday.vip.membership import Membership
from datingtoday.vip.notifications import Notifications
from datingtoday.vip.orders import Orders
from datingtoday.vip.products import Products


def vip_routes(products: Products, membership: Membership) -> Blueprint:
    """``/api/product`` and ``/api/vip``."""
    bp = Blueprint("vip", __name__, url_prefix="/api")

    @bp.get("/product/list")
    @endpoint(
        "List the VIP products on sale",
        "在售会员商品列表",
        require_token=False,
        returns=schemas.ProductSchema(many=True),
    )
    def product_list(call: Call) -> Any:
        return products.on_sale(call.session)

    @bp.get("/vip/show")
    @endpoint("Show my VIP membership", "查看我的会员状态", returns=schemas.VipSchema)
    def show(call: Call) -> Any:
        return membership.show(call.session, call.user_id, call.now)

    return bp


def order_routes(orders: Orders) -> Blueprint:
    """``/api/order``."""
    bp = Blueprint("order", __name__, url_prefix="/api/order")

    @bp.post("/create")
    @endpoint(
        "Order a product",
        "创建订单",
        params=schemas.CreateOrderParams,
        returns=schemas.NewOrderSchema,
        transaction="manual",
        raises=(ProductNotFound, ClientIdReused, Unavailable),
        description=Text(
            "Name, days and price are those of the product now. The same `clientId` answers with the same order.",
            "名称、天数和价格以商品当前的为准。相同的 `clientId` 返回同一订单。",
        ),
    )
    def create(call: Call, **what: Any) -> Any:
        return orders.create(call.user_id, now=call.now, **what)

    @bp.post("/confirm")
    @endpoint(
        "Confirm an order with Apple's receipt",
        "用 Apple 凭据确认订单",
        params=schemas.ConfirmParams,
        returns=schemas.OrderSchema,
        raises=(OrderNotFound, ReceiptRefused),
    )
    def confirm(call: Call, order_id: int, receipt: str) -> Any:
        return orders.confirm(call.session, call.user_id, order_id, receipt, call.now)

    @bp.get("/show")
    @endpoint(
        "Show one of my orders",
        "查看订单",
        params=schemas.OrderIdParams,
        returns=schemas.OrderSchema,
        raises=(OrderNotFound,),
    )
    def show(call: Call, order_id: int) -> Any:
        return orders.show(call.session, call.user_id, order_id, call.now)

    @bp.get("/list")
    @endpoint(
        "List my orders",
        "我的订单列表",
        params=schemas.OrderListParams,
        returns=page_schema(schemas.OrderSchema),
    )
    def list_(call: Call, page: PageRequest) -> Any:
        return orders.page(call.session, call.user_id, page, call.now)

    @bp.post("/cancel")
    @endpoint(
        "Cancel an unpaid order",
        "取消未支付的订单",
        params=schemas.OrderIdParams,
        returns=schemas.OrderSchema,
        transaction="manual",
        raises=(OrderNotFound, OrderNotPayable),
    )
    def cancel(call: Call, order_id: int) -> Any:
        return orders.cancel(call.user_id, order_id, call.now)

    return bp


def notify_routes(notifications: Notifications) -> Blueprint:
    """``/api/pay``: called by payment providers."""
    bp = Blueprint("pay", __name__, url_prefix="/api/pay")

    @bp.post("/notify/<channel>")
    @public_route(
        "Take a payment provider's notification",
        "接收支付平台的通知",
        transaction="manual",
        own_answers={
            200: Text(
                "taken in (alipay: `success`; `fail` if refused)",
                "已接收（alipay：`success`，拒绝为 `fail`）",
            ),
            400: Text("refused: wrong content, or a wrong signature", "拒绝：内容或签名错误"),
            401: Text("refused: wrong signature (wechat)", "拒绝：签名错误（wechat）"),
            503: Text("not stored; send it again", "未能保存，请重新发送"),
        },
        raises=(NotFound,),
        description=Text(
            "The provider's own format and signature. Repeated notifications succeed. 404 where the channel is not "
            "set up.",
            "使用支付平台自己的格式和签名。重复的通知返回成功。未开通的渠道返回 404。",
        ),
    )
    def notify(call: Call, channel: str) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.stream.read(MAX_NOTICE_BYTES + 1)
        answer = notifications.receive(channel, headers, body, call.now)
        return Response(
            answer.body, status=answer.status, headers=answer.headers, content_type=answer.content_type
        )

    return bp
