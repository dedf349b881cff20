"""Chapters in which the two talk, pay and leave."""

from __future__ import annotations

from datingtoday.infra.text import Text
from datingtoday.web.postman.steps import HELLO, NOBODY, PEER, Chapter, Step

TALKING = (
    Chapter(
        Text("Chat", "聊天"),
        (
            Step(
                "POST /api/message/send",
                {"peerId": "{{peer_id}}", "type": "text", "clientId": "{{uuid}}", "content": HELLO},
                checks={"内容原样 · the content as it is": f'data.content === "{HELLO}"'},
                keep={"seq": "data.seq"},
            ),
            Step(
                "GET /api/message/unread",
                person=PEER,
                checks={"一条未读 · one unread": "data.total === 1"},
            ),
            Step(
                "GET /api/contacts/list",
                person=PEER,
                checks={"最后一条消息 · the last message": f'data.list[0].last_msg === "{HELLO}"'},
            ),
            Step(
                "GET /api/message/list",
                {"peerId": "{{user_id}}"},
                PEER,
                checks={"一条消息 · one message": "data.list.length === 1"},
            ),
            Step(
                "POST /api/message/read",
                {"peerId": "{{user_id}}", "seq": "{{seq}}"},
                PEER,
                checks={"全部已读 · all read": "data.unread === 0"},
            ),
            Step(
                "POST /api/message/send",
                {"peerId": "{{user_id}}", "type": "text", "clientId": "{{uuid}}", "content": "你好呀"},
                PEER,
                Text("She answers", "对方回复"),
                checks={"第二条 · the second": 'data.seq === Number(pm.environment.get("seq")) + 1'},
            ),
            Step(
                "GET /api/message/sync",
                {"since": "0"},
                checks={
                    "发送、已读、回复 · sent, read, answered": (
                        'JSON.stringify(data.list.map((entry) => entry.kind)) === \'["message","read","message"]\''
                    )
                },
            ),
            Step(
                "POST /api/message/send",
                {"peerId": "{{peer_id}}", "type": "text", "clientId": "{{uuid}}", "content": "发错了"},
                title=Text("A message by mistake", "发错的消息"),
                checks={"未撤回 · not recalled": "data.recalled === false"},
                keep={"message_id": "data.message_id"},
            ),
            Step("POST /api/message/recall", {"messageId": "{{message_id}}"}),
        ),
    ),
    Chapter(
        Text("Visitors and VIP", "访客与会员"),
        (
            Step(
                "GET /api/visitor/count",
                checks={"有一位访客 · one visitor": "data.total === 1 && data.unread === 1"},
                until=("data.total", "1"),
            ),
            Step(
                "GET /api/visitor/list",
                title=Text("Visitors without VIP: refused", "非会员查看访客：被拒绝"),
                code=1501,
            ),
            Step(
                "GET /api/product/list",
                checks={"价格以分计 · prices in fen": "Number.isInteger(data[0].price_fen)"},
                keep={"product_id": "data[0].product_id"},
            ),
            Step(
                "POST /api/order/create",
                {"productId": "{{product_id}}", "channel": "sandbox", "clientId": "{{uuid}}"},
                checks={"待支付 · unpaid": 'data.state === "unpaid"'},
                keep={
                    "order_id": "data.order_id",
                    "pay_url": "data.pay_params.pay_url",
                },
            ),
            Step("POST /pay/sandbox/{page_key}", url="{{pay_url}}", person=NOBODY),
            Step(
                "GET /api/order/show",
                {"orderId": "{{order_id}}"},
                checks={"已支付 · paid": 'data.state === "paid"'},
                until=("data.state", "paid"),
            ),
            Step("GET /api/vip/show", checks={"是会员 · VIP": "data.vip && data.vip_deadline !== null"}),
            Step(
                "GET /api/visitor/list",
                title=Text("Visitors with VIP", "会员查看访客"),
                checks={
                    "就是对方 · it was her": (
                        'data.list[0].peer.user_id === Number(pm.environment.get("peer_id"))'
                    )
                },
            ),
            Step(
                "POST /api/order/create",
                {"productId": "{{product_id}}", "channel": "sandbox", "clientId": "{{uuid}}"},
                title=Text("Another order", "再下一单"),
                checks={"待支付 · unpaid": 'data.state === "unpaid"'},
                keep={"order_id": "data.order_id"},
            ),
            Step(
                "POST /api/order/confirm",
                {"orderId": "{{order_id}}", "receipt": "a.b.c"},
                title=Text(
                    "Apple's receipt for a sandbox order: refused", "用 Apple 凭据确认沙箱订单：被拒绝"
                ),
                code=300,
            ),
            Step(
                "POST /api/order/cancel",
                {"orderId": "{{order_id}}"},
                checks={"已取消 · cancelled": 'data.state === "cancelled"'},
            ),
            Step("GET /api/order/list", checks={"两个订单 · two orders": "data.total === 2"}),
        ),
    ),
    Chapter(
        Text("Safety", "安全"),
        (
            Step(
                "POST /api/user/report",
                {"peerId": "{{peer_id}}", "reason": "other", "detail": "Postman"},
                checks={"有编号 · has a number": "data.report_id > 0"},
            ),
            Step(
                "POST /api/user/unfollow",
                {"peerId": "{{peer_id}}"},
                checks={"已取消 · not following": "!data.following"},
            ),
            Step("POST /api/user/block", {"peerId": "{{peer_id}}"}),
            Step("GET /api/user/block/list", checks={"拉黑一人 · one": "data.total === 1"}),
            Step("POST /api/user/unblock", {"peerId": "{{peer_id}}"}),
            Step("POST /api/contacts/remove", {"peerId": "{{peer_id}}"}),
        ),
    ),
    Chapter(
        Text("Leaving", "离开"),
        (
            Step(
                "POST /api/auth/sendsms",
                {"phone": "{{phone}}", "purpose": "export"},
                title=Text("A code for the export", "导出数据的验证码"),
                checks={"号码原样返回 · the number as given": 'data.phone === pm.environment.get("phone")'},
                keep={"code": "data.code"},
            ),
            Step(
                "POST /api/user/export",
                {"code": "{{code}}"},
                checks={"是我的数据 · it is mine": 'data.user_id === Number(pm.environment.get("user_id"))'},
            ),
            Step(
                "POST /api/auth/sendsms",
                {"phone": "{{new_phone}}", "purpose": "phone"},
                title=Text("A code to the new number", "发往新号码的验证码"),
                checks={
                    "号码原样返回 · the number as given": 'data.phone === pm.environment.get("new_phone")'
                },
                keep={"code": "data.code"},
            ),
            Step(
                "POST /api/user/phone",
                {"phone": "{{new_phone}}", "code": "{{code}}"},
                checks={"已更换 · changed": 'data.phone.endsWith(pm.environment.get("new_phone"))'},
            ),
            Step("POST /api/auth/logout"),
            Step(
                "GET /api/user/show",
                title=Text("After logging out: refused", "退出后再访问：被拒绝"),
                code=1101,
            ),
            Step(
                "POST /api/auth/sendsms",
                {"phone": "{{peer_phone}}", "purpose": "delete"},
                PEER,
                Text("A code for deleting the other account", "注销另一个账号的验证码"),
                checks={
                    "号码原样返回 · the number as given": 'data.phone === pm.environment.get("peer_phone")'
                },
                keep={"peer_code": "data.code"},
            ),
            Step(
                "POST /api/user/delete",
                {"code": "{{peer_code}}"},
                PEER,
                Text("She deletes her account", "对方注销账号"),
            ),
        ),
    ),
)
